#!/usr/bin/env python3
"""HTTP as curl and stranger clients speak it, against the demo server."""

import hashlib
import os
import socket
import subprocess
import time

from lib_interop import ADDRESS, SERVER, URL, curl, expect, main, started_server

HEAD = b"Host: x\r\n\r\n"


def reference(size):
    return subprocess.run([SERVER, "--print-bytes", str(size)], capture_output=True, check=True).stdout


def code(*arguments):
    return curl("-o", "/dev/null", "-w", "%{http_code}", *arguments).decode()


def talk(*pieces, half_close=True, pause=0.0):
    """Everything the server answers until it closes."""
    with socket.create_connection((ADDRESS, 80), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def downloads():
    for size in (0, 1, 1219, 65536, 3_000_001):
        expect(curl(f"{URL}/bytes/{size}") == reference(size), f"/bytes/{size} differs")
    expect(b"EventSource" in curl(URL), "no page")
    expect(b"content-length: 1000\r\n" in curl("-I", f"{URL}/bytes/1000").lower(), "HEAD has no length")
    # Two requests over one connection.
    connects = curl("-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects},", f"{URL}/bytes/10", f"{URL}/bytes/20")
    expect(connects == b"1,0,", f"no keep-alive: {connects}")


def uploads(directory):
    data = os.urandom(5_000_003)
    path = os.path.join(directory, "data")
    with open(path, "wb") as file:
        file.write(data)
    digest = hashlib.sha256(data).hexdigest().encode() + b"\n"
    expect(curl("-T", path, f"{URL}/upload") == digest, "upload with a length differs")
    expect(curl("-H", "Expect: 100-continue", "-T", path, f"{URL}/upload") == digest, "upload with Expect differs")
    chunked = subprocess.run(["curl", "-q", "-g", "-sS", "--noproxy", "*", "--max-time", "30", "-T", "-", f"{URL}/upload"],
                             input=data, capture_output=True)
    expect(chunked.stdout == digest, f"chunked upload differs: {chunked.stderr.decode()}")
    expect(curl("-X", "POST", "--data-binary", f"@{path}", f"{URL}/upload") == digest, "POST differs")
    empty = hashlib.sha256(b"").hexdigest().encode() + b"\n"
    expect(curl("-X", "PUT", f"{URL}/upload") == empty, "empty upload differs")


def refusals():
    expect(code(f"{URL}/nothing") == "404", "404")
    expect(code(f"{URL}/bytes/12x") == "404", "not a number")
    expect(code("-X", "DELETE", f"{URL}/bytes/1") == "405", "405")
    expect(code(f"{URL}/upload") == "405", "405 for GET /upload")
    expect(code("-X", "BREW", URL) == "501", "501")
    expect(code("-H", f"X-Large: {'x' * 9000}", URL) == "431", "431")
    expect(talk(b"PUT /upload HTTP/1.1\r\nContent-Length: 9999999999999999\r\n" + HEAD).startswith(b"HTTP/1.1 413 "), "413")
    expect(talk(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 "), "400 for nonsense")
    expect(talk(b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 "), "400 without Host")
    expect(talk(b"PUT /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEAD + b"xyz\r\n").startswith(
        b"HTTP/1.1 400 "), "400 for a chunk that is none")
    expect(talk(b"PUT /upload HTTP/1.1\r\nTransfer-Encoding: gzip\r\n" + HEAD).startswith(b"HTTP/1.1 501 "), "501 coding")
    # An upload that is refused: the answer arrives although the body is still coming.
    answer = talk(b"PUT /nothing HTTP/1.1\r\nContent-Length: 3000000\r\n" + HEAD, b"x" * 3_000_000)
    expect(answer.startswith(b"HTTP/1.1 404 "), "404 behind a body")


def strange_clients():
    request = b"GET /bytes/5000 HTTP/1.1\r\n" + HEAD
    body = reference(5000)
    expect(talk(request).endswith(body), "a client that has closed its side gets its answer")
    answer = talk(request * 20)
    expect(answer.count(b"HTTP/1.1 200 OK") == 20 and answer.endswith(body), "twenty requests in one segment")
    slowly = [request[i:i + 1] for i in range(len(request))]
    expect(talk(*slowly, pause=0.005).endswith(body), "a byte at a time")
    chunks = b"PUT /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEAD + b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n"
    digest = hashlib.sha256(b"hello!").hexdigest().encode()
    expect(digest in talk(*[chunks[i:i + 1] for i in range(len(chunks))], pause=0.005), "chunks a byte at a time")
    expect(talk(b"GET http://x/bytes/5000 HTTP/1.0\r\n\r\n", half_close=False).endswith(body), "HTTP/1.0, absolute form")
    expect(talk(b"\r\n" + request).endswith(body), "an empty line before the request")
    expect(talk(b"GET /bytes/50") == b"", "half a request")

    # A reader that stops for a while does not hold up others.
    with socket.create_connection((ADDRESS, 80), timeout=20) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /bytes/2000000 HTTP/1.0\r\n\r\n")
        time.sleep(1)
        expect(curl(f"{URL}/bytes/1000000", limit=10) == reference(1_000_000), "held up by a slow reader")
        answer = b""
        while piece := slow.recv(65536):
            answer += piece
        expect(answer.endswith(reference(2_000_000)), "the slow reader's own bytes")


def many_at_once():
    clients = [subprocess.Popen(["curl", "-q", "-g", "-sS", "--noproxy", "*", "--max-time", "30", f"{URL}/bytes/100000"],
                                stdout=subprocess.PIPE) for _ in range(40)]
    expected = reference(100_000)
    for client in clients:
        expect(client.communicate()[0] == expected and client.returncode == 0, "one of forty clients")


def test(directory):
    server = started_server(directory)
    downloads()
    uploads(directory)
    refusals()
    strange_clients()
    many_at_once()
    server.terminate()


main(test)
