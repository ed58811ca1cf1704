#!/usr/bin/env python3
"""ping -6 against keepnet: to the global and the link-local address, small, large, and after a kill -9."""

import re
import subprocess

from lib_interop import ADDRESS, TAP, expect, main, started_server


def ping(target, *options, count=20):
    done = subprocess.run(["ping", "-6", "-n", "-c", str(count), "-i", "0.02", "-W", "2", *options, target],
                          capture_output=True, text=True)
    expect(f" {count} received, 0% packet loss" in done.stdout, f"ping {target} {options}:\n{done.stdout}{done.stderr}")


def link_local():
    """Of the server, as the kernel learned it when all nodes were asked."""
    done = subprocess.run(["ping", "-6", "-n", "-c", "2", "-W", "2", f"ff02::1%{TAP}"], capture_output=True, text=True)
    own = subprocess.run(["ip", "-6", "address", "show", "dev", TAP], capture_output=True, text=True).stdout
    for found in re.findall(r"from (fe80::[0-9a-f:]+[0-9a-f])", done.stdout):
        if found not in own:
            return found
    return None


def test(directory):
    server = started_server(directory)
    ping(ADDRESS)
    for payload in (0, 1, 1000, 1452):  # the last one fills a frame
        ping(ADDRESS, "-s", str(payload), count=5)
    neighbor = link_local()
    expect(neighbor is not None, "nobody answers for a link-local address")
    ping(f"{neighbor}%{TAP}", count=5)
    server.kill()
    server.start()
    server.wait_until_it_serves(20)
    ping(ADDRESS, count=5)
    server.terminate()


main(test)
