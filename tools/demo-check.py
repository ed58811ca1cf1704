#!/usr/bin/env python3
"""tools/demo --check: downloads and uploads by curl through many kill -9 of the server, without a reconnect.

Runs in a network and process namespace of its own, which tools/demo makes. Prints one line on stdout; what went wrong
goes to stderr, and the exit status is 0 only when nothing did.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from demo_peer import ADDRESS, CURL, TAP, URL, Failure, Server, make_link

MIB = 1 << 20

ETH_P_IPV6 = 0x86DD
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35


class FirstByte:
    """Sees the first TCP payload that comes from the server, with the kernel's time stamp."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6))
        self.socket.bind((TAP, ETH_P_IPV6))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def wait(self, deadline):
        """Wall-clock ns, or None when none came in time."""
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                frame, ancillary, _, address = self.socket.recvmsg(128, 64)
            except TimeoutError:
                return None
            if address[2] == PACKET_OUTGOING or len(frame) < 74 or frame[20] != socket.IPPROTO_TCP:
                continue
            payload = struct.unpack_from("!H", frame, 18)[0] - (frame[66] >> 4) * 4
            if struct.unpack_from("!H", frame, 54)[0] != 80 or payload <= 0:
                continue
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, ns = struct.unpack("qq", data[:16])
                    return seconds * 1_000_000_000 + ns
            return time.time_ns()
        return None

    def close(self):
        self.socket.close()


class Transfer(threading.Thread):
    """One curl. No --retry; it must have made exactly one connection."""

    def __init__(self, name, arguments, limit):
        super().__init__(daemon=True)
        self.name = name
        self.hash = hashlib.sha256()
        self.bytes = 0
        self.start_of_text = b""
        self.report = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*CURL, "-N", "--max-time", str(limit), "-w", "%{stderr}connects=%{num_connects} code=%{http_code}\n",
             *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.report)
        self.start()

    def run(self):
        while piece := self.process.stdout.read1(1 << 18):
            self.hash.update(piece)
            self.bytes += len(piece)
            self.take(piece)

    def take(self, piece):
        if len(self.start_of_text) < 256:
            self.start_of_text += piece[:256]

    def running(self):
        return self.is_alive()

    def finish(self):
        self.join()
        status = self.process.wait()
        self.report.seek(0)
        report = self.report.read().decode(errors="replace").strip()
        if status != 0 or report != "connects=1 code=200":
            raise Failure(f"curl ({self.name}): status {status}: {report}")


class Events(Transfer):
    """The page's feed, as a browser keeps it: the numbers must grow by one, on one connection."""

    def __init__(self, limit):
        self.rest = b""
        self.last = 0
        self.wrong = None
        super().__init__("events", [f"{URL}/events"], limit)

    def take(self, piece):
        *lines, self.rest = (self.rest + piece).split(b"\n")
        for line in lines:
            if match := re.fullmatch(rb"id: (\d+)", line):
                number = int(match[1])
                if number != self.last + 1:
                    self.wrong = self.wrong or f"event {number} after event {self.last}"
                self.last = number

    def stop(self):
        """Still open; ends it."""
        if not self.running():
            self.finish()
            raise Failure("the event stream ended")
        self.process.terminate()
        self.join()
        if self.wrong:
            raise Failure(self.wrong)
        if self.last == 0:
            raise Failure("no event came")


def sha256_of_download(program, size):
    digest = hashlib.sha256()
    with subprocess.Popen([program, "--print-bytes", str(size)], stdout=subprocess.PIPE) as process:
        while piece := process.stdout.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def make_upload(path, size):
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            piece = os.urandom(MIB)
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


class Check:
    def __init__(self, options, directory):
        self.options = options
        self.deadline = time.monotonic() + options.limit
        self.server = Server(options.server, os.path.join(directory, "state"))
        self.upload = os.path.join(directory, "upload")
        self.kills = self.down_bytes = self.up_bytes = 0
        self.match = True
        self.resume_ms = []

    def left(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Failure(f"not finished within {self.options.limit} s")
        return left

    def wait_until_it_serves(self):
        self.server.wait_until_it_serves(self.left())

    def restart(self):
        self.server.kill()
        self.kills += 1
        return self.server.start()

    def kill_and_measure(self, download):
        watch = FirstByte()
        try:
            started = self.restart()
            while random.random() < 0.25:  # before it has said a word, or even restored
                time.sleep(random.uniform(0, 0.02))
                started = self.restart()
            first = watch.wait(time.monotonic() + min(self.left(), 30))
        finally:
            watch.close()
        self.server.check_alive()
        if first is not None:
            self.resume_ms.append((first - started) / 1e6)
        elif download.running():
            raise Failure("a download did not go on within 30 s")

    def round(self, expected_down, expected_up):
        limit = int(self.left()) + 1
        download = Transfer("download", [f"{URL}/bytes/{self.options.down}"], limit)
        upload = Transfer("upload", ["-T", self.upload, f"{URL}/upload"], limit)
        while download.running() or upload.running():
            pause = time.monotonic() + random.uniform(0.02, 0.5)
            while time.monotonic() < pause and (download.running() or upload.running()):
                time.sleep(0.005)
            self.left()
            # Only while the download runs is there a byte to wait for, and only then a kill counts.
            if download.running():
                self.kill_and_measure(download)
        download.finish()
        upload.finish()
        self.down_bytes += download.bytes
        self.up_bytes += os.path.getsize(self.upload)
        if download.bytes != self.options.down or download.hash.hexdigest() != expected_down:
            self.match = False
            print("the download differs", file=sys.stderr)
        if upload.start_of_text.decode(errors="replace").strip() != expected_up:
            self.match = False
            print("the upload differs", file=sys.stderr)

    def run(self):
        expected_down = sha256_of_download(self.options.server, self.options.down)
        expected_up = make_upload(self.upload, self.options.up)
        make_link()
        self.server.start()
        self.wait_until_it_serves()
        events = Events(int(self.left()) + 1)
        while self.kills < self.options.kills and self.match:
            self.round(expected_down, expected_up)
        events.stop()
        self.server.terminate()

    def line(self):
        p50 = statistics.median(self.resume_ms) if self.resume_ms else 0
        return (f"survived kills={self.kills} down_bytes={self.down_bytes} up_bytes={self.up_bytes} "
                f"sha256={'match' if self.match else 'MISMATCH'} "
                f"resume_ms_p50={p50:.1f} resume_ms_max={max(self.resume_ms, default=0):.1f}")


def main():
    parser = argparse.ArgumentParser(prog="tools/demo --check")
    parser.add_argument("--server", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--state-parent", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--down", type=int, default=256 * MIB, help="bytes of a download")
    parser.add_argument("--up", type=int, default=64 * MIB, help="bytes of an upload, a multiple of 1 MiB")
    parser.add_argument("--kills", type=int, default=10, help="at least as many; more transfers follow until then")
    parser.add_argument("--limit", type=float, default=300, help="seconds, for everything")
    options = parser.parse_args()

    directory = tempfile.mkdtemp(prefix="demo-check.", dir=options.state_parent)
    check = Check(options, directory)
    good = False
    try:
        check.run()
        good = check.match
    except Failure as failure:
        check.match = False
        print(f"tools/demo --check: {failure}", file=sys.stderr)
    finally:
        if check.server.process and check.server.process.poll() is None:
            check.server.process.kill()
        shutil.rmtree(directory, ignore_errors=True)
    print(check.line())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
