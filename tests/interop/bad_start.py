#!/usr/bin/env python3
"""Starts that must fail: one clear line on stderr, status 1 (2 where the command line cannot be), and the snapshot stays as it was. And an interface that is
deleted under a running server ends it as clearly."""

import os
import subprocess

from lib_interop import SERVER, TAP, Failure, expect, main, make_link, run, started_server


def refused(why, *options, before=(), says, status=1):
    command = [*before, SERVER, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        raise Failure(f"{why}: it started") from None
    lines = done.stderr.splitlines()
    expect(done.returncode == status, f"{why}: status {done.returncode}: {done.stderr}")
    expect(len(lines) == 1 and done.stdout == "", f"{why}: not one line: {done.stdout}{done.stderr}")
    for word in says:
        expect(word.lower() in lines[0].lower(), f"{why}: '{word}' is not in: {lines[0]}")
    print(f"{why}: {lines[0]}")


def refuse_interfaces(directory):
    state = ["--state", os.path.join(directory, "other")]
    refused("taken name", "--tap", "lo", *state, says=["lo"])
    refused("long name", "--tap", "a-name-that-is-too-long", *state, says=["a-name-that-is-too-long"])
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    open_to_all = os.path.join(directory, "open")
    os.makedirs(open_to_all)
    os.chmod(open_to_all, 0o777)
    os.chmod(directory, 0o755)
    refused("no permission", "--tap", "kn9", "--state", open_to_all, before=nobody, says=["permi"])
    refused("bad address", "--tap", "kn9", "--address", "fd00::xyz", *state, says=["--address", "fd00::xyz"], status=2)


def refuse_directories(directory):
    refused("no such directory", "--tap", TAP, "--state", os.path.join(directory, "a/b"), says=["a/b", "no such"])
    file = os.path.join(directory, "file")
    with open(file, "w", encoding="utf-8"):
        pass
    refused("not a directory", "--tap", TAP, "--state", file, says=[file, "not a directory"])
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=+net_admin",
              "--ambient-caps=+net_admin"]
    sealed = os.path.join(directory, "sealed")
    os.makedirs(sealed, mode=0o755)
    refused("unwritable directory", "--tap", TAP, "--state", sealed, before=nobody, says=["sealed", "permission"])


def refuse_snapshots(server, state):
    path = os.path.join(state, "snapshot")
    with open(path, "rb") as file:
        good = file.read()
    middle = len(good) // 2
    for why, bytes_ in {
            "empty": b"",
            "truncated": good[:middle],
            "not ours": b"#!/bin/sh\necho hello\n" * 100,
            "bit flipped in the middle": good[:middle] + bytes([good[middle] ^ 4]) + good[middle + 1:],
            "bit flipped at the end": good[:-1] + bytes([good[-1] ^ 1]),
            "too long": good + b"x" * 64,
    }.items():
        with open(path, "wb") as file:
            file.write(bytes_)
        refused(f"snapshot {why}", *server.command[1:], says=[path, "--fresh"])
        with open(path, "rb") as file:
            expect(file.read() == bytes_, f"snapshot {why}: the file changed")
    return path, good


def lose_interface(server):
    server.process = subprocess.Popen(server.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    server.wait_until_it_serves(20)
    run("ip", "link", "delete", TAP)
    try:
        said = server.process.communicate(timeout=20)[1]
    except subprocess.TimeoutExpired:
        raise Failure("the interface is gone, the server is not") from None
    expect(server.process.returncode == 1 and said == "http_server: the network interface is gone\n",
           f"status {server.process.returncode}: {said}")
    # The connections are in the snapshot still: with the interface back it goes on.
    make_link()
    server.start()
    server.wait_until_it_serves(20)
    server.terminate()


def test(directory):
    server = started_server(directory)
    state = os.path.join(directory, "state")
    refused("interface in use", "--tap", TAP, "--state", os.path.join(directory, "second"), says=[TAP])
    refused("state in use", "--tap", "kn8", "--state", state, says=["another server", state])
    server.terminate()

    refuse_interfaces(directory)
    refuse_directories(directory)
    path, good = refuse_snapshots(server, state)

    with open(path, "wb") as file:
        file.write(good[:100])
    server.command.append("--fresh")
    server.start()
    server.wait_until_it_serves(20)
    server.terminate()
    server.command.pop()
    server.start()
    server.wait_until_it_serves(20)
    server.terminate()
    lose_interface(server)


main(test)