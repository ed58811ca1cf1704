"""What tools/demo --check and the interop tests share: a TAP link, and the demo server at its far end."""

import signal
import subprocess
import time

TAP = "keepnet0"
HOST = "fd00:6b6e::1"
ADDRESS = "fd00:6b6e::2"
URL = f"http://[{ADDRESS}]"

# As somebody calls it by hand, whatever the machine's own configuration says.
CURL = ["curl", "-q", "-g", "-sS", "--noproxy", "*"]


class Failure(Exception):
    pass


def run(*command):
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")


def make_link():
    run("ip", "link", "set", "lo", "up")
    run("ip", "tuntap", "add", "dev", TAP, "mode", "tap")
    run("ip", "address", "add", f"{HOST}/64", "dev", TAP, "nodad")
    run("ip", "link", "set", TAP, "up")


class Server:
    def __init__(self, program, state):
        self.command = [program, "--tap", TAP, "--address", ADDRESS, "--state", state]
        self.process = None

    def start(self):
        """Wall-clock ns just before the process came to be."""
        started = time.time_ns()
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        return started

    def wait_until_it_serves(self, limit):
        """An address is ours only after duplicate address detection."""
        deadline = time.monotonic() + limit
        while subprocess.run([*CURL, "-o", "/dev/null", "--max-time", "2", URL],
                             stderr=subprocess.DEVNULL).returncode != 0:
            self.check_alive()
            if time.monotonic() > deadline:
                raise Failure("the server does not serve")
            time.sleep(0.05)

    def check_alive(self):
        status = self.process.poll()
        if status is not None:
            raise Failure(f"the server ended by itself with status {status}")

    def kill(self):
        self.check_alive()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self):
        self.check_alive()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            raise Failure("the server did not suspend within 20 s") from None
        if status != 0:
            raise Failure(f"the server ended with status {status} at SIGTERM")
