"""What the test of the persistent runtime shares: the runtime that is killed, and Linux servers as peers."""

import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

from lib_interop import ADDRESS, BIN, HOST, ROOT, TAP, Failure, expect, run

RUNTIME = str(BIN / "persistent_runtime")
SCRIPTS = ROOT / "examples/persistent_runtime/scripts"


class Runtime:
    """A script, which does not know that it is killed."""

    def __init__(self, directory, options, script, *arguments):
        self.command = [RUNTIME, "--tap", TAP, "--address", ADDRESS, "--state", os.path.join(directory, "image"), *options,
                        str(SCRIPTS / script), *map(str, arguments)]
        self.state = os.path.join(directory, "image")
        self.images = set()   # as they were found after a kill
        self.kills = 0
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)

    def check_alive(self):
        status = self.process.poll()
        expect(status is None, f"the runtime ended by itself with status {status}")

    def kill(self):
        self.check_alive()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        if os.path.exists(self.state):
            self.images.add(os.stat(self.state).st_mtime_ns)

    def restart(self, pause=0.0):
        self.kill()
        time.sleep(pause)
        self.start()

    def kill_for(self, seconds, failures):
        """At random instants, now and then twice in a row, while nothing has failed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not failures:
            time.sleep(random.choice([random.uniform(0.0, 0.1), random.uniform(0.1, 1.0)]))
            if self.process.poll() is not None:
                return
            self.restart(random.choice([0, random.uniform(0.0, 0.3)]))

    def terminate(self):
        self.check_alive()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            raise Failure("the runtime did not suspend within 20 s") from None
        expect(status == 0, f"the runtime ended with status {status} at SIGTERM")


class Load:
    """Threads that use the runtime until they are told to come to an end. The first failure is kept."""

    def __init__(self):
        self.ending = threading.Event()
        self.failures = []
        self.bytes = 0
        self.threads = []
        self.lock = threading.Lock()

    def start(self, function, *arguments):
        def body():
            try:
                function(*arguments)
            except Exception as failure:  # a thread's exception is lost otherwise
                self.failures.append(f"{function.__name__}: {failure!r}")
        thread = threading.Thread(target=body, daemon=True)
        self.threads.append(thread)
        thread.start()

    def count(self, count):
        with self.lock:
            self.bytes += count

    def finish(self, limit=120):
        self.ending.set()
        deadline = time.monotonic() + limit
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive() and not self.failures:
                self.failures.append(f"not finished within {limit} s")
        if self.failures:
            raise Failure(self.failures[0])


class Syns:
    """Sees each SYN without ACK that the runtime sends."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        self.socket.bind((TAP, 0x86DD))
        self.source = socket.inet_pton(socket.AF_INET6, ADDRESS)

    def wait(self, limit):
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                frame = self.socket.recv(128)
            except TimeoutError:
                return False
            if len(frame) >= 74 and frame[20] == socket.IPPROTO_TCP and frame[22:38] == self.source and \
                    frame[67] & 0x12 == 0x02:
                return True
        return False

    def forget(self):
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(128)
        except BlockingIOError:
            pass


def connect(port, limit=20):
    """An address is ours only after duplicate address detection, and a backlog may be full."""
    deadline = time.monotonic() + limit
    while True:
        try:
            return socket.create_connection((ADDRESS, port), timeout=limit)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def wait_for_port(port, process, what):
    deadline = time.monotonic() + 20
    while True:
        expect(process.poll() is None, f"{what} ended with status {process.poll()}")
        try:
            return socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            expect(time.monotonic() < deadline, f"{what} does not answer")
            time.sleep(0.05)


def start_nginx(directory, port, peers):
    """An unmodified web server that takes PUT; gives the folder that it serves."""
    root = os.path.join(directory, "www")
    os.makedirs(os.path.join(root, "copies"))
    temporary = "".join(f"{name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = os.path.join(directory, "nginx.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log;\n"
                   f"events {{}} http {{ access_log off; {temporary} client_max_body_size 0;\n"
                   f"server {{ listen [{HOST}]:{port}; root {root}; location /copies/ {{ dav_methods PUT; }} }} }}\n")
    process = subprocess.Popen(["nginx", "-p", directory, "-e", f"{directory}/error.log", "-c", config])
    peers.append(process)
    wait_for_port(port, process, "nginx")
    return root


def start_sshd(directory, port, peers):
    """An OpenSSH server with keys of its own; gives the command of a client that comes through the runtime's port 2222."""
    # This is a mount namespace of our own: nothing of it is seen outside.
    if not os.path.exists("/run/keepnet-shadow"):   # the first time
        run("mount", "-t", "tmpfs", "none", "/run")
        os.mkdir("/run/sshd", 0o755)
        with open("/run/keepnet-shadow", "w", encoding="ascii") as file:
            file.write("root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n")
        run("mount", "--bind", "/run/keepnet-shadow", "/etc/shadow")
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(directory, name))
    config = os.path.join(directory, "sshd_config")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"ListenAddress [{HOST}]:{port}\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/user.pub\n"
                   "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
                   f"PidFile none\nUseDNS no\nPrintMotd no\nLoginGraceTime 600\n")
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=subprocess.DEVNULL)
    peers.append(process)
    wait_for_port(port, process, "sshd")
    with open(os.path.join(directory, "host.pub"), encoding="ascii") as file, \
            open(os.path.join(directory, "known"), "w", encoding="ascii") as known:
        known.write(f"[{ADDRESS}]:2222 {file.read()}")
    options = [f"UserKnownHostsFile={directory}/known", "StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes",
               "ConnectTimeout=60", "TCPKeepAlive=no"]
    return ["ssh", "-F", "none", "-p", "2222", "-i", os.path.join(directory, "user"), "-q",
            *[word for option in options for word in ("-o", option)], f"root@{ADDRESS}"]


def start_dns(port, name, address, peers):
    process = subprocess.Popen(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}",
                                f"--listen-address={HOST}", "--bind-interfaces", "--no-resolv", "--no-hosts", "--user=root",
                                "--pid-file=", f"--host-record={name},{address}"])
    peers.append(process)
    wait_for_port(port, process, "dnsmasq")


def ask_dns(name, number, limit=2.0):
    """The address in the answer of the runtime's port 53, or None."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack("!HH", 28, 1)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(limit)
        sock.sendto(struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + question, (ADDRESS, 53))
        try:
            answer = sock.recv(1500)
        except TimeoutError:
            return None
    header = struct.unpack_from("!6H", answer)
    expect(header[0] == number and header[1] & 0x800F == 0x8000 and header[3] == 1, f"DNS: a strange answer {answer!r}")
    return socket.inet_ntop(socket.AF_INET6, answer[-16:])
