#!/usr/bin/env python3
"""examples/asio_echo against the kernel: a few megabytes there and back on several connections at once, and its ends."""

import os
import signal
import socket
import subprocess
import threading
import time

from lib_interop import BIN, expect, main, run

TAP = "echo0"
SERVER, HOST = "fd00:ec::2", "fd00:ec::1"
CONNECTIONS, BYTES = 3, 2_000_000


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, what)
        time.sleep(0.05)


def connect():
    try:
        return socket.create_connection((SERVER, 7), timeout=20)
    except OSError:
        return None


def echo(peer, size, outcome):
    sent, got = os.urandom(size), bytearray()

    def read():
        while block := peer.recv(65536):
            got.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    peer.sendall(sent)
    peer.shutdown(socket.SHUT_WR)  # the server sees the end, and closes when everything is echoed
    reader.join()
    peer.close()
    outcome.append(bytes(got) == sent)


def test(directory):
    echo_server = subprocess.Popen([BIN / "asio_echo", TAP, SERVER, os.path.join(directory, "state")], stderr=subprocess.DEVNULL)
    wait_for(lambda: TAP in interfaces(), "no interface")
    run("ip", "-6", "address", "add", f"{HOST}/64", "dev", TAP, "nodad")
    peers = []
    wait_for(lambda: peers.append(connect()) or peers[-1] is not None, "nobody answers")
    peers = [peers[-1], *(connect() for _ in range(CONNECTIONS - 1))]
    expect(None not in peers, "one of several connections is refused")
    outcome = []
    threads = [threading.Thread(target=echo, args=(peer, BYTES, outcome)) for peer in peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(outcome == [True] * CONNECTIONS, f"what came back is not what was sent: {outcome}")
    echo_server.send_signal(signal.SIGTERM)
    expect(echo_server.wait(20) == 0, "it does not end at SIGTERM")


def interfaces():
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout


main(test)
