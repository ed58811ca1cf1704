#!/usr/bin/env python3
"""The two short examples, hello and asio_echo, killed at random instants while Linux's own TCP streams through them: every
byte comes back once, in order; connections born before a kill end after it; and a restart contradicts nothing silently.

    tests/interop/echo_kill.py [--seconds N] [PROGRAM...]
"""

import argparse
import hashlib
import os
import random
import signal
import socket
import subprocess
import threading
import time

from lib_interop import ADDRESS, BIN, TAP, Failure, expect, main, make_link


class Echo:
    def __init__(self, program, directory, *options):
        self.command = [BIN / program, TAP, ADDRESS, os.path.join(directory, program), *options]
        self.process = None
        self.kills = 0

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        expect(self.process.poll() is None, f"it ended by itself with status {self.process.poll()}")
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1


def connect(limit=20):
    end = time.monotonic() + limit
    while True:
        try:
            peer = socket.create_connection((ADDRESS, 7), timeout=5)
            peer.settimeout(60)
            return peer
        except OSError as error:   # nobody can connect before duplicate address detection is over
            expect(time.monotonic() < end, f"nobody answers: {error}")
            time.sleep(0.05)


def stream(peer, ending, outcome):
    """Sends until told to end; what comes back must be what went."""
    sent, got, count = hashlib.sha256(), hashlib.sha256(), 0

    def speak():
        while not ending.is_set():
            data = random.randbytes(random.randrange(1, 40_000))
            sent.update(data)
            peer.sendall(data)
            time.sleep(random.uniform(0, 0.01))
        peer.shutdown(socket.SHUT_WR)

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        while data := peer.recv(65536):
            got.update(data)
            count += len(data)
        speaker.join(30)
        outcome.append(count if ending.is_set() and sent.digest() == got.digest() else "what came back is not what went")
    except OSError as error:
        outcome.append(str(error))
    peer.close()


def killed(program, directory, seconds):
    echo = Echo(program, directory)
    echo.start()
    peers = [connect() for _ in range(3)]
    ending, outcome = threading.Event(), []
    threads = [threading.Thread(target=stream, args=(peer, ending, outcome), daemon=True) for peer in peers]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not outcome:
        time.sleep(random.choice([random.uniform(0.0, 0.1), random.uniform(0.1, 0.6)]))
        echo.kill()
        echo.start()
    fresh = connect()   # the listener is there again too
    fresh.sendall(b"the net in which an angler keeps the catch alive")
    expect(fresh.recv(1) == b"t", "a new connection is not served")
    fresh.close()
    ending.set()
    for thread in threads:
        thread.join(90)
    expect(len(outcome) == 3 and all(isinstance(one, int) for one in outcome), f"{program}: {outcome}")
    expect(all(one > 100_000 for one in outcome), f"{program}: too little went through it: {outcome}")
    echo.process.send_signal(signal.SIGTERM)
    expect(echo.process.wait(20) == 0, f"{program} does not end in order at SIGTERM")
    contradicted(echo, program)
    print(f"{program}: {echo.kills} kills, {sum(outcome)} bytes")


def contradicted(echo, program):
    """Another address than the state's is refused, and both are named."""
    other = "fd00:6b6e::99"
    command = [other if word == ADDRESS else word for word in echo.command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    expect(done.returncode == 1 and other in done.stderr and ADDRESS in done.stderr,
           f"{program}: status {done.returncode}: {done.stderr}")


def test(directory):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("programs", nargs="*")
    options = parser.parse_args()
    make_link()
    for program in options.programs or ["hello", "asio_echo"]:
        if not (BIN / program).exists():
            raise Failure(f"{program} is not built")
        killed(program, directory, options.seconds)


main(test)
