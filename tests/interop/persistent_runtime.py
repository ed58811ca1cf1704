#!/usr/bin/env python3
"""The persistent runtime, killed at random instants under each of its scripts; every byte is compared.

    tests/interop/persistent_runtime.py [--seconds N] [--policy POLICY] [--interval MS] [SCRIPT...]
"""

import argparse
import hashlib
import os
import random
import socket
import subprocess
import threading
import time

from lib_interop import ADDRESS, CURL, HOST, expect, main, make_link, run
from lib_runtime import Load, Runtime, Syns, ask_dns, connect, start_dns, start_nginx, start_sshd

PIECE = 20_000


def random_file(path, size):
    data = random.randbytes(size)
    with open(path, "wb") as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stream(load, send, receive, finish):
    """Sends random bytes until the end, and expects each of them back."""
    sent, got = hashlib.sha256(), hashlib.sha256()

    def speak():
        while not load.ending.is_set():
            data = random.randbytes(random.randrange(1, PIECE))
            sent.update(data)
            send(data)
            load.count(len(data))
            time.sleep(random.uniform(0, 0.01))
        finish()

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    while data := receive():
        got.update(data)
    speaker.join(10)
    expect(load.ending.is_set(), "the stream ended early")
    expect(sent.digest() == got.digest(), "what came back differs")


def echo(make, directory, seconds):
    runtime = make("echo.lua", 7)
    load = Load()

    def long_connection():
        with connect(7) as sock:
            sock.settimeout(60)
            stream(load, sock.sendall, lambda: sock.recv(65536), lambda: sock.shutdown(socket.SHUT_WR))

    def short_connections():
        while not load.ending.is_set():
            with connect(7) as sock:
                sock.settimeout(60)
                data = random.randbytes(random.randrange(1, 5000))
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                back = b"".join(iter(lambda: sock.recv(65536), b""))
                expect(back == data, f"short connection: {len(back)} of {len(data)} bytes, or others")
                load.count(len(data))

    connect(7).close()
    for function in (long_connection, long_connection, short_connections, short_connections):
        load.start(function)
    runtime.kill_for(seconds, load.failures)
    load.finish()
    runtime.terminate()
    return runtime, load.bytes


def chat(make, directory, seconds):
    runtime = make("chat.lua", 4000)
    load = Load()
    names = ["ada", "bob", "eve", "kim"]
    heard = {name: [] for name in names}
    said = {name: 0 for name in names}
    all_said = threading.Barrier(len(names))

    def member(name, sock, lines):
        speaker = threading.Thread(target=speak, args=(sock, name), daemon=True)
        speaker.start()
        while sum(line.endswith(" end\n") for line in heard[name]) < len(names):
            line = lines.readline()
            expect(line != "", f"{name} was thrown out")
            load.count(len(line))
            if not line.startswith("* "):
                heard[name].append(line)
        speaker.join(10)

    def speak(sock, name):
        while not load.ending.is_set():
            sock.sendall(f"{said[name]} {'x' * random.randrange(200)}\r\n".encode())
            said[name] += 1
            time.sleep(random.uniform(0, 0.01))
        all_said.wait(60)
        sock.sendall(b"end\n")

    socks = []
    for name in names:   # all are there before the first one speaks
        sock = connect(4000)
        sock.settimeout(60)
        sock.sendall(name.encode() + b"\n")
        lines = sock.makefile("r", encoding="ascii", newline="\n")
        expect(lines.readline() == f"* {name} comes in\n", f"{name} was not let in")
        socks.append((name, sock, lines))
    for arguments in socks:
        load.start(member, *arguments)
    runtime.kill_for(seconds, load.failures)
    load.finish()
    runtime.terminate()
    for name in names:
        expect(heard[name] == heard[names[0]], f"{name} and {names[0]} heard different things")
        own = [line.split()[1] for line in heard[names[0]] if line.startswith(name + ": ")]
        expect(own == [str(i) for i in range(said[name])] + ["end"], f"lines of {name} are missing, double or in disorder")
        expect(said[name] > 20, f"{name} said only {said[name]} lines")
    return runtime, load.bytes


def http_files(make, directory, seconds):
    root = os.path.join(directory, "www")
    os.mkdir(root)
    digests = {}
    for i, size in enumerate([0, 1, 1000, 65536, 300_001, 3_000_000, 20_000_000]):
        digests[i] = random_file(os.path.join(root, str(i)), size)
    runtime = make("http_files.lua", root, 80)
    load = Load()

    def client(number):
        while not load.ending.is_set():
            wanted = [random.choice(list(digests)) for _ in range(3)]
            outputs = [os.path.join(directory, f"client{number}.{i}") for i in range(3)]
            words = [word for name, output in zip(wanted, outputs) for word in ("-o", output, f"http://[{ADDRESS}]/{name}")]
            done = subprocess.run([*CURL, "--max-time", "120", "--connect-timeout", "60", "-f", "-w", "%{num_connects},",
                                   *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            expect(done.returncode == 0, f"curl: status {done.returncode}: {done.stderr}")
            expect(done.stdout == "1,0,0,", f"curl: another connection was made: {done.stdout}")
            for name, output in zip(wanted, outputs):
                expect(digest_of(output) == digests[name], f"file {name} differs")
                load.count(os.path.getsize(output))

    connect(80).close()
    for number in range(3):
        load.start(client, number)
    runtime.kill_for(seconds, load.failures)
    load.finish()
    runtime.terminate()
    return runtime, load.bytes


def mirror(make, directory, seconds):
    root = start_nginx(directory, 8080)
    names = [f"file{i}" for i in range(6 * seconds)]
    digests = {name: random_file(os.path.join(root, name), random.choice([0, 1, 50_000, random.randrange(3_000_000)]))
               for name in names}
    syns = Syns()
    runtime = make("mirror.lua", HOST, 8080, "/", "/copies/", *names)

    # A peer that answers no SYN, through two more deaths; then one that answers.
    expect(syns.wait(20), "no SYN")
    runtime.kill()
    run("ip", "route", "add", "blackhole", ADDRESS)
    for _ in range(2):
        syns.forget()
        runtime.start()
        expect(syns.wait(20), "SYN-SENT was forgotten")
        runtime.kill()
    run("ip", "route", "del", "blackhole", ADDRESS)
    runtime.start()

    end = time.monotonic() + seconds
    while time.monotonic() < end and runtime.process.poll() is None:
        syns.forget()
        if random.random() < 0.5 and syns.wait(0.5) and runtime.process.poll() is None:
            runtime.restart(random.choice([0, 0.1]))
        runtime.kill_for(0.5, [])
    try:
        status = runtime.process.wait(120)
    except subprocess.TimeoutExpired:
        expect(False, f"after 120 s: {len(os.listdir(os.path.join(root, 'copies')))} of {len(names)} copies")
    expect(status == 0, f"the script ended with status {status}")
    copies = os.path.join(root, "copies")
    expect(sorted(os.listdir(copies)) == sorted(names), "copies are missing, or there are others")
    for name in names:
        expect(digest_of(os.path.join(copies, name)) == digests[name], f"{name} differs")
    return runtime, sum(os.path.getsize(os.path.join(root, name)) for name in names) * 2


def forward(make, directory, seconds):
    name, address = "kept.example.test", "2001:db8::53"
    ssh = start_sshd(directory, 2200)
    start_dns(5353, name, address)
    runtime = make("forward.lua", HOST, 2222, 2200, 5353)
    load = Load()
    answers = []

    def session():
        process = subprocess.Popen([*ssh, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        stream(load, process.stdin.write, lambda: process.stdout.read(65536), process.stdin.close)
        expect(process.wait(30) == 0, f"ssh: status {process.returncode}")

    def queries():
        number, failed = 0, 0
        while not load.ending.is_set():
            number += 1
            answer = ask_dns(name, number, 0.7)
            expect(answer in (None, address), f"DNS: {answer}")
            failed = failed + 1 if answer is None else 0
            expect(failed < 30, "DNS: thirty queries in a row without an answer")
            answers.append(answer)
            time.sleep(0.1)

    connect(2222).close()
    load.start(session)
    load.start(session)
    load.start(queries)
    runtime.kill_for(seconds, load.failures)
    load.finish()
    answered = sum(answer is not None for answer in answers)
    expect(answered >= seconds, f"DNS: {answered} of {len(answers)} queries were answered")
    runtime.terminate()
    return runtime, load.bytes


CASES = {"echo": echo, "chat": chat, "http_files": http_files, "mirror": mirror, "forward": forward}


def test(directory):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--policy", default=None)
    parser.add_argument("--interval", default=None)
    parser.add_argument("scripts", nargs="*", choices=[[], *CASES])
    options = parser.parse_args()
    words = [word for option in ("policy", "interval") if (value := getattr(options, option)) for word in (f"--{option}", value)]
    make_link()
    for name in options.scripts or CASES:
        place = os.path.join(directory, name)
        os.mkdir(place)

        def make(script, *arguments):
            runtime = Runtime(place, words, script, *arguments)
            runtime.start()
            return runtime

        started = time.monotonic()
        runtime, count = CASES[name](make, place, options.seconds)
        expect(runtime.kills > options.seconds / 3, f"{name}: killed only {runtime.kills} times")
        print(f"{name}: kills={runtime.kills} bytes={count} seconds={time.monotonic() - started:.0f} sha256=match", flush=True)


main(test)
