#!/usr/bin/env python3
"""SIGTERM in mid-transfer: an orderly suspend, a pause in which the peer waits, and the transfers go on."""

import os
import subprocess
import time

from lib_interop import CURL, SERVER, URL, expect, main, started_server

DOWN = 200_000_000
UP = 60_000_000


def test(directory):
    path = os.path.join(directory, "data")
    with open(path, "wb") as file:
        file.write(os.urandom(UP))
    server = started_server(directory)
    flags = ["--max-time", "120", "--limit-rate", "40M", "-w", "\n%{num_connects} %{http_code}"]
    script = f"{SERVER} --print-bytes {DOWN} | sha256sum; sha256sum <{path}"
    expected = [line.split()[0] for line in subprocess.run(["sh", "-c", script], capture_output=True, text=True,
                                                           check=True).stdout.splitlines()]
    target = os.path.join(directory, "download")
    download = subprocess.Popen([*CURL, *flags, "-o", target, f"{URL}/bytes/{DOWN}"], stdout=subprocess.PIPE, text=True)
    upload = subprocess.Popen([*CURL, *flags, "-T", path, f"{URL}/upload"], stdout=subprocess.PIPE, text=True)
    suspends = 0
    for pause in (0.0, 0.3, 1.5):
        time.sleep(0.3)
        expect(download.poll() is None, "the download is too fast for this test")
        server.terminate()
        suspends += 1
        time.sleep(pause)
        server.start()
    report, answer = download.communicate()[0].strip(), upload.communicate()[0].split()
    expect(download.returncode == 0 and report == "1 200", f"curl (download): {download.returncode}, {report}")
    expect(upload.returncode == 0 and answer[1:] == ["1", "200"], f"curl (upload): {upload.returncode}, {answer}")
    with open(target, "rb") as file:
        got = subprocess.run(["sha256sum"], stdin=file, capture_output=True, text=True).stdout.split()[0]
    expect(got == expected[0], "the download differs")
    expect(answer[0] == expected[1], "the upload differs")
    server.terminate()


main(test)
