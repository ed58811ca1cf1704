#!/usr/bin/env python3
"""The persistent runtime, killed at random instants under each of its scripts; every byte is compared.

    tests/interop/persistent_runtime.py [--seconds N] [--policy POLICY] [--interval MS] [SCRIPT...]
"""

import argparse
import hashlib
import os
import random
import shutil
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


def echo(make, directory, peers, seconds):
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


def chat(make, directory, peers, seconds):
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


def http_files(make, directory, peers, seconds):
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


def mirror(make, directory, peers, seconds):
    root = start_nginx(directory, 8080, peers)
    names = [f"file{i}" for i in range(3 * seconds)]
    digests = {name: random_file(os.path.join(root, name), random.choice([0, 1, 50_000, random.randrange(3_000_000)]))
               for name in names}
    # At first the peer answers no SYN, through two deaths; neighbour discovery goes on.
    silence = ["to", ADDRESS, "ipproto", "tcp", "blackhole"]
    run("ip", "-6", "rule", "add", *silence)
    syns = Syns()
    runtime = make("mirror.lua", HOST, 8080, "/", "/copies/", *names)
    for _ in range(2):
        expect(syns.wait(20), "no SYN")
        runtime.kill()
        syns.forget()
        runtime.start()
    expect(syns.wait(20), "SYN-SENT was forgotten")
    runtime.kill()
    run("ip", "-6", "rule", "del", *silence)
    runtime.start()

    end = time.monotonic() + seconds
    while time.monotonic() < end and runtime.process.poll() is None:
        syns.forget()
        if random.random() < 0.5 and syns.wait(0.5) and runtime.process.poll() is None:
            runtime.restart(random.choice([0, 0.1]))
        runtime.kill_for(0.5, [])
    try:
        status = runtime.process.wait(240)
    except subprocess.TimeoutExpired:
        expect(False, f"after 240 s: {len(os.listdir(os.path.join(root, 'copies')))} of {len(names)} copies")
    expect(status == 0, f"the script ended with status {status}")
    copies = os.path.join(root, "copies")
    expect(sorted(os.listdir(copies)) == sorted(names), "copies are missing, or there are others")
    for name in names:
        expect(digest_of(os.path.join(copies, name)) == digests[name], f"{name} differs")
    return runtime, sum(os.path.getsize(os.path.join(root, name)) for name in names) * 2


def forward(make, directory, peers, seconds):
    name, address = "kept.example.test", "2001:db8::53"
    ssh = start_sshd(directory, 2200, peers)
    start_dns(5353, name, address, peers)
    runtime = make("forward.lua", HOST, 2222, 2200, 5353)
    load = Load()

    def session():
        process = subprocess.Popen([*ssh, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        stream(load, process.stdin.write, lambda: process.stdout.read(65536), process.stdin.close)
        expect(process.wait(30) == 0, f"ssh: status {process.returncode}")

    def queries():
        number, in_a_row = 0, 0
        while not load.ending.is_set() or in_a_row < 3:   # in the end each one is answered
            number += 1
            answer = ask_dns(name, number, 0.7)
            expect(answer in (None, address), f"DNS: {answer}")
            in_a_row = in_a_row + 1 if answer else 0
            time.sleep(0.1)

    connect(2222).close()
    load.start(session)
    load.start(session)
    load.start(queries)
    runtime.kill_for(seconds, load.failures)
    load.finish()
    runtime.terminate()
    return runtime, load.bytes


POLICIES = ["snapshot", "journal", "journal-pmem"]
CASES = {"echo": echo, "chat": chat, "http_files": http_files, "mirror": mirror, "forward": forward}


def test(directory):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=8, help="of killing, for each script and policy")
    parser.add_argument("--policy", choices=POLICIES, help="one alone")
    parser.add_argument("--interval", help="ms between two images")
    parser.add_argument("scripts", nargs="*", choices=[[], *CASES])
    options = parser.parse_args()
    make_link()
    for policy in [options.policy] if options.policy else POLICIES:
        for name in options.scripts or (["echo"] if policy == "journal-pmem" else CASES):
            place = os.path.join(directory, f"{name}.{policy}")
            os.mkdir(place)
            run_case(place, name, policy, options)
            shutil.rmtree(place)


def run_case(place, name, policy, options):
    words = ["--policy", policy.removesuffix("-pmem"), *(["--interval", options.interval] if options.interval else [])]
    if policy == "journal-pmem":
        words += ["--pmem", os.path.join(place, "pmem")]
    peers = []

    def make(script, *arguments):
        runtime = Runtime(place, words, script, *arguments)
        runtime.start()
        return runtime

    started = time.monotonic()
    runtime, count = CASES[name](make, place, peers, options.seconds)
    for process in peers:
        process.kill()
        process.wait()
    expect(runtime.kills > options.seconds / 3, f"{name}: killed only {runtime.kills} times")
    if policy != "snapshot" and name == "chat" and not options.interval:
        # It says little, so that no image is asked for: most kills take the script back to where it had been before.
        expect(len(runtime.images) <= runtime.kills / 2 + 2, f"{name}: {len(runtime.images)} images")
    print(f"{name}: policy={policy} kills={runtime.kills} images={len(runtime.images)} bytes={count} "
          f"seconds={time.monotonic() - started:.0f} sha256=match", flush=True)


main(test)
