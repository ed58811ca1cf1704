#!/usr/bin/env python3
"""Away for a while, with a transfer running in each direction to a Linux peer whose keep-alive is on: an orderly suspend,
and kill -9, the latter with ICMPv6 to those who wait and without. Prints for each how long after the start of the new
process a byte moved again:

    outage.py                       what CI runs: suspended for 1 and 5 s, killed for 0 and 1 s
    outage.py --long                1, 30 and 120 s, and killed for 0, 1 and 30 s
    outage.py --suspend 10 --kill   any others
"""

import argparse
import os
import sys
import time

from lib_interop import SERVER, TAP, Server, expect, main, make_link, run
from lib_outage import Download, Resumption, Upload, Watch

# After so long a Linux peer has tried again by its own timer, whatever happened (TCP_RTO_MAX).
PATIENCE = 130


class Outage:
    def __init__(self, directory, down, orderly, kick):
        self.down, self.orderly, self.kick = down, orderly, kick
        self.server = Server(SERVER, os.path.join(directory, f"state-{time.monotonic_ns()}"))
        if kick:
            self.server.command.append("--icmp-kick")

    def name(self):
        return "suspended" if self.orderly else "killed, ICMPv6" if self.kick else "killed"

    def run(self):
        self.server.start()
        self.server.wait_until_it_serves(20)
        download, upload = Download(), Upload()
        time.sleep(0.5)
        before = download.bytes, upload.bytes
        expect(min(before) > 0, "a transfer did not begin")
        retransmissions = upload.retransmissions()
        if self.orderly:
            self.server.terminate()
        else:
            self.server.kill()
        time.sleep(self.down)
        watch = Watch()
        resumption = Resumption(watch, self.server.start(), download, upload, PATIENCE)
        watch.close()
        retransmissions = upload.retransmissions() - retransmissions
        time.sleep(0.3)
        self.server.check_alive()
        upload.finish()
        download.finish()
        expect(download.bytes > before[0] and upload.bytes > before[1], "a transfer did not go on")
        r = resumption
        print(f"{self.name():<14} down {self.down:>5.1f} s: first byte from us after {r.down_ms:6.1f} ms (64 KiB {r.down_many_ms:6.1f}), "
              f"to us {r.up_ms:8.1f} ms ({r.up_many_ms:8.1f}); the peer repeated {retransmissions}, {r.kicks} ICMPv6", flush=True)
        self.judge(resumption, retransmissions)
        self.server.terminate()

    def judge(self, resumption, retransmissions):
        """By what the peer did, not by the clock."""
        if self.orderly:
            # All that was in flight was taken in before we left: nothing lay in the peer's retransmission timer. And it
            # was our word that opened the window, not a probe of its own.
            expect(retransmissions == 0, f"the peer had to repeat {retransmissions} segments after an orderly suspend")
            expect(resumption.peer_asked <= 1, "the peer had to ask")  # once: the answer to a probe of ours
        expect((resumption.kicks > 0) == (self.kick and not self.orderly),
               f"{resumption.kicks} ICMPv6 errors were sent")


def test(directory):
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true", help="the outages of 30 s and 120 s too")
    parser.add_argument("--suspend", type=float, nargs="*", help="seconds")
    parser.add_argument("--kill", type=float, nargs="*", help="seconds")
    options = parser.parse_args()
    suspends = [1, 30, 120] if options.long else [1, 5]
    kills = [0, 1, 30] if options.long else [0, 1]
    if options.suspend is not None or options.kill is not None:
        suspends, kills = options.suspend or [], options.kill or []
    make_link()
    # Room for every window under way: what the peer repeats shall be for the outage, not for a queue that ran over.
    run("ip", "link", "set", TAP, "txqueuelen", "20000")
    for down in suspends:
        Outage(directory, down, True, False).run()
    for down in kills:
        for kick in (False, True):
            Outage(directory, down, False, kick).run()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    main(test)
