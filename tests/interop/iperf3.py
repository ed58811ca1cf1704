#!/usr/bin/env python3
"""An iperf3 client of Linux against a keepnet peer, in both directions."""

import json
import os
import subprocess
import time

from lib_interop import ADDRESS, BIN, TAP, expect, main, make_link


def iperf3(*options):
    done = subprocess.run(["iperf3", "-6", "-c", ADDRESS, "-t", "2", "--connect-timeout", "3000", "-J", *options],
                          capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, f"iperf3 {options}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)["end"]


def test(_):
    make_link()
    peer = subprocess.Popen([os.path.join(BIN, "keepnet-iperf3"), TAP, ADDRESS])
    for _ in range(100):
        if subprocess.run(["ping", "-6", "-n", "-c", "1", "-W", "1", ADDRESS], stdout=subprocess.DEVNULL).returncode == 0:
            break
        time.sleep(0.1)
    for options in ([], ["-R"], []):
        end = iperf3(*options)
        sent, received = end["sum_sent"]["bytes"], end["sum_received"]["bytes"]
        expect(peer.poll() is None, "the peer ended")
        # A transfer that runs at all carries far more than a window; what is sent and not yet received is little.
        expect(received > 4_000_000, f"iperf3 {options}: only {received} bytes in 2 s")
        expect(received <= sent + 1_000_000 and sent - received < 20_000_000, f"iperf3 {options}: {sent} sent, {received} received")
        print(f"iperf3 {' '.join(options) or '(to keepnet)'}: {end['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s")
    peer.kill()
    peer.wait()


main(test)
