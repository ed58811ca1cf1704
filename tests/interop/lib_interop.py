"""What the interop tests share. Each runs in network and process namespaces of its own: whatever happens, nothing of
it is left behind, and it kills nothing that is not its own."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("KEEPNET_BIN", ROOT / "build/release/bin"))
SERVER = str(BIN / "http_server")

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

from demo_peer import ADDRESS, CURL, HOST, TAP, URL, Failure, Server, make_link, run  # noqa: E402, F401

INSIDE = "KEEPNET_INTEROP_NAMESPACE"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def curl(*arguments, limit=30, status=0):
    """What curl wrote to stdout."""
    done = subprocess.run([*CURL, "--max-time", str(limit), *arguments], stdin=subprocess.DEVNULL, capture_output=True)
    expect(done.returncode == status, f"curl {' '.join(arguments)}: status {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def main(test):
    """Runs `test(directory)` in namespaces of its own; `directory` is empty and on disk."""
    if os.environ.get(INSIDE) != "1":
        command = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if os.geteuid() != 0:
            command += ["--user", "--map-root-user"]
        os.execvpe("unshare", [*command, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})
    directory = tempfile.mkdtemp(prefix="keepnet-interop.", dir=BIN)
    try:
        test(directory)
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print("passed")


def started_server(directory, limit=20):
    """The demo server, reachable at ADDRESS through TAP."""
    make_link()
    server = Server(SERVER, os.path.join(directory, "state"))
    server.start()
    server.wait_until_it_serves(limit)
    return server
