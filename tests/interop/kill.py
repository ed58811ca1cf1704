#!/usr/bin/env python3
"""kill -9 in mid-transfer: a shorter run of what tools/demo --check does, event stream included."""

import subprocess
import sys

from lib_interop import ROOT, SERVER, expect, main

MIB = 1 << 20


def test(directory):
    done = subprocess.run([sys.executable, str(ROOT / "tools/demo-check.py"), "--server", SERVER, "--state-parent", directory,
                           "--down", str(64 * MIB), "--up", str(16 * MIB), "--kills", "10", "--limit", "200"],
                          stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="")
    expect(done.returncode == 0, f"status {done.returncode}")
    expect(" sha256=match " in done.stdout and done.stdout.count("\n") == 1, "the line of result")


main(test)
