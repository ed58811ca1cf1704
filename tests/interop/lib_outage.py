"""Two transfers by sockets of the kernel, one each way, and a watch on the link that says when each goes on."""

import hashlib
import os
import select
import socket
import struct
import subprocess
import threading
import time

from lib_interop import ADDRESS, SERVER, TAP, Failure, expect

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
PROBE_IDLE, PROBE_INTERVAL, PROBES = 5, 5, 100  # of the peer's keep-alive: patient enough for every outage here


def connected():
    peer = socket.create_connection((ADDRESS, 80), timeout=20)
    peer.settimeout(None)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_IDLE)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_INTERVAL)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    return peer


class Download(threading.Thread):
    """Reads as fast as it can until stop(); compares what came with what the server is known to send."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peer = connected()
        self.port = self.peer.getsockname()[1]
        self.peer.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: test\r\n\r\n" % (1 << 45))
        self.digest, self.bytes, self.problem, self.stopping = hashlib.sha256(), 0, None, False
        self.start()

    def run(self):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                head += self.peer.recv(1)
            while not self.stopping:
                piece = self.peer.recv(1 << 18)
                if not piece:
                    raise OSError("the stream ended")
                self.digest.update(piece)
                self.bytes += len(piece)
        except OSError as error:
            self.problem = error

    def finish(self):
        self.stopping = True
        self.join(20)
        expect(self.problem is None, f"the download: {self.problem}")
        expect(not self.is_alive(), "the download stands still")
        self.peer.close()
        same = hashlib.sha256()
        with subprocess.Popen([SERVER, "--print-bytes", str(self.bytes)], stdout=subprocess.PIPE) as process:
            while piece := process.stdout.read(1 << 20):
                same.update(piece)
        expect(same.digest() == self.digest.digest(), "the download differs")


class Upload(threading.Thread):
    """Writes without pause until stop(); the server says the hash of what it got."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peer = connected()
        self.port = self.peer.getsockname()[1]
        self.peer.sendall(b"PUT /upload HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.digest, self.bytes, self.problem, self.stopping = hashlib.sha256(), 0, None, False
        self.start()

    def run(self):
        blocks = [os.urandom(1 << 16) for _ in range(64)]
        try:
            while not self.stopping:
                block = blocks[(self.bytes >> 16) % 64]
                self.peer.sendall(b"%x\r\n" % len(block) + block + b"\r\n")
                self.digest.update(block)
                self.bytes += len(block)
        except OSError as error:
            self.problem = error

    def retransmissions(self):
        """tcpi_total_retrans."""
        return struct.unpack_from("I", self.peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128), 100)[0]

    def finish(self):
        self.stopping = True
        self.join(60)
        expect(self.problem is None, f"the upload: {self.problem}")
        expect(not self.is_alive(), "the upload stands still")
        self.peer.sendall(b"0\r\n\r\n")
        self.peer.settimeout(60)
        answer = b""
        while self.digest.hexdigest().encode() not in answer:
            piece = self.peer.recv(65536)
            expect(piece, f"the upload differs: {answer!r}")
            answer += piece
        self.peer.close()


class Frame:
    """What the watch wants to know of a frame."""

    def __init__(self, data, outgoing, time_ns):
        self.time_ns, self.by_peer = time_ns, outgoing  # the peer is the kernel: what leaves it
        self.protocol = data[20]
        self.is_unreachable = self.protocol == socket.IPPROTO_ICMPV6 and data[54] == 1
        if self.protocol == socket.IPPROTO_TCP and len(data) >= 74:
            ports = struct.unpack_from("!HH", data, 54)
            self.port = ports[0] if outgoing else ports[1]
            self.ack, = struct.unpack_from("!I", data, 62)
            self.window, = struct.unpack_from("!H", data, 68)
            self.text = struct.unpack_from("!H", data, 18)[0] - (data[66] >> 4) * 4
        else:
            self.port = self.text = 0


class Watch:
    """Every IPv6 frame of the link, with the kernel's time stamp, from now on."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((TAP, ETH_P_ALL))  # of one protocol alone it would not see what leaves
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def frame(self, deadline):
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            data, ancillary, _, address = self.socket.recvmsg(128, 64)
            when = next((s * 10**9 + ns for level, kind, value in ancillary if (level, kind) == (1, SO_TIMESTAMPNS)
                         for s, ns in [struct.unpack("qq", value[:16])]), time.time_ns())
            if len(data) >= 58 and data[12:14] == b"\x86\xdd":
                return Frame(data, address[2] == PACKET_OUTGOING, when)
        return None

    def close(self):
        self.socket.close()


class Resumption:
    """What the link showed from the start of the new process until both transfers went on: a first byte, and a good many.
    Times in ms from there."""

    MANY = 64 << 10

    def __init__(self, watch, started_ns, download, upload, patience):
        self.down_ms = self.up_ms = None
        self.down_many_ms = self.up_many_ms = None
        down_bytes = up_bytes = 0
        self.kicks = 0            # ICMPv6 errors of ours
        self.peer_asked = 0       # segments without text by the uploading peer between our first word and its first text
        spoken = set()
        deadline = time.monotonic() + patience
        while self.down_many_ms is None or self.up_many_ms is None:
            frame = watch.frame(deadline)
            if frame is None:
                missing = "download" if self.down_many_ms is None else "upload"
                raise Failure(f"the {missing} did not go on within {patience} s")
            if frame.time_ns < started_ns:
                continue
            ms = (frame.time_ns - started_ns) / 1e6
            if frame.is_unreachable and not frame.by_peer:
                self.kicks += 1
            if not frame.by_peer:
                spoken.add(frame.port)
                if frame.port == download.port and frame.text > 0:
                    self.down_ms = self.down_ms or ms
                    down_bytes += frame.text
                    if down_bytes >= self.MANY:
                        self.down_many_ms = self.down_many_ms or ms
            elif frame.port == upload.port and upload.port in spoken:
                if frame.text > 0:
                    self.up_ms = self.up_ms or ms
                    up_bytes += frame.text
                    if up_bytes >= self.MANY:
                        self.up_many_ms = self.up_many_ms or ms
                elif self.up_ms is None:
                    self.peer_asked += 1
