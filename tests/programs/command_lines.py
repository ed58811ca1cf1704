#!/usr/bin/env python3
"""Every program of keepnet, as docs/programs.md says of all of them: what is asked of each, whatever it is, and a table of what
is wrong with a command line or with what it names. command_lines.py BIN"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

BIN = pathlib.Path(sys.argv[1]).resolve()
SERVERS = ["http_server", "persistent_runtime"]
COMMANDS = ["inspect", "diff", "verify", "journal", "sim"]
PROGRAMS = [["keepnet"], *(["keepnet", command] for command in COMMANDS), ["keepnet-sim"], *([name] for name in SERVERS),
            ["hello"], ["asio_echo"]]
DONE, FAILED, USAGE, DIFFERENT = range(4)

# What somebody may write behind an option that wants something else.
HOSTILE = ["-1", "", "nonsense", "99999999999999999999999", "1.5", "/", "/nonexistent/x", "\udcff", "0x", "nan", "a" * 5000]
# Nothing is started: what survives its options fails at an interface that is no TAP.
NEVER_STARTS = {"http_server": ["--tap", "lo"], "persistent_runtime": ["--tap", "lo", "script.lua"]}

problems = []


def run(program, *arguments, cwd=None):
    command = [BIN / program[0], *program[1:], *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=60, cwd=cwd, stdin=subprocess.DEVNULL,
                              encoding="utf-8", errors="surrogateescape")
    except subprocess.TimeoutExpired:
        problems.append(f"{' '.join(map(str, command))}: it does not end")
        return None


def check(what, condition, done):
    if not condition:
        problems.append(f"{what}: status {done.returncode}\n  stdout: {done.stdout[:300]!r}\n  stderr: {done.stderr[:300]!r}")


def is_one_line(done, program, *words):
    """A failure's one line."""
    lines = done.stderr.splitlines()
    return (done.stdout == "" and len(lines) == 1 and lines[0].startswith(program[0] + ": ")
            and all(word in lines[0] for word in words))


def is_common(program):
    """Help, version, and what does not exist."""
    name = " ".join(program)
    done = run(program, "--help")
    check(f"{name} --help", done.returncode == DONE and len(done.stdout) > 20 and done.stderr == "", done)
    if len(program) == 1:
        version = run(program, "--version")
        check(f"{name} --version", version.returncode == DONE and version.stderr == ""
              and re.fullmatch(re.escape(name) + r" \d+\.\d+\.\d+\n", version.stdout), version)
    for unknown in ("--no-such-option", "--fresj", "-Z"):
        wrong = run(program, unknown)
        check(f"{name} {unknown}", wrong.returncode == USAGE and is_one_line(wrong, program, unknown), wrong)
    return re.findall(r"^\s+(--[a-z-]+) [A-Z]+", done.stdout, re.MULTILINE)


def is_robust(program, options, directory):
    """Each option with each hostile value: it ends by itself, with a line and a status of the table."""
    name = " ".join(program)
    for option in options:
        for value in HOSTILE:
            rest = NEVER_STARTS.get(name, [])
            if option in rest:
                rest = ["--state", "missing/state"]
            if name.endswith("sim") and value == "1.5" and option == "--minutes":
                continue  # it would run so long
            done = run(program, option, value, *rest, cwd=directory)
            if done is None:
                continue
            good = done.returncode == DONE and done.stderr == "" or (
                done.returncode in (FAILED, USAGE) and is_one_line(done, program))
            check(f"{name} {option} {value[:30]!r}", good, done)


def take(directory):
    """(program, arguments, status, words of the line): what is wrong, by kind."""
    d = pathlib.Path(directory)
    (d / "empty").write_bytes(b"")
    (d / "noise").write_bytes(b"noise" * 1000)
    (d / "seeds").write_text("1\nsmall x\n")
    (d / "script.lua").write_text("print(1)\n")
    (d / "fails.lua").write_text("error('no')\n")
    (d / "folder").mkdir()
    sim, tool = ["keepnet-sim"], ["keepnet"]
    runtime, server = ["persistent_runtime"], ["http_server"]
    rows = []
    # One kind of error, one status, over all commands: no file, a directory, an empty file, noise.
    for command in ("inspect", "verify", "journal", "diff"):
        for thing in ("missing", "folder", "empty", "noise"):
            files = [thing] * (2 if command == "diff" else 1)
            rows.append((["keepnet", command], files, FAILED, None if command == "verify" else [thing]))
        rows.append((["keepnet", command], [], USAGE, []))
    rows += [
        (tool, [], USAGE, []),
        (tool, ["inspekt"], USAGE, ["inspekt", "inspect"]),
        (tool, ["inspekt", "--help"], USAGE, ["inspekt"]),
        (tool, ["--fresh"], USAGE, ["--fresh"]),
        (sim, [], USAGE, ["--seeds"]),
        (sim, ["--seed", "-1"], USAGE, ["--seed"]),
        (sim, ["--seed", "x"], USAGE, ["--seed"]),
        (sim, ["--seeds", "1", "extra"], USAGE, ["extra"]),
        (sim, ["--fresh"], USAGE, ["--fresh"]),
        (sim, ["--first", "5"], USAGE, ["--first"]),
        (sim, ["--small", "--journal", "--seeds", "1"], USAGE, ["--small"]),
        (sim, ["--minutes", "nan"], USAGE, ["--minutes"]),
        (sim, ["--seed", "1", "--pcap", "missing/x.pcap"], FAILED, ["missing/x.pcap"]),
        (["keepnet", "sim"], ["--seed", "1", "--pcap", "missing/x.pcap"], FAILED, ["missing/x.pcap"]),
        (sim, ["--regressions", "missing"], USAGE, ["missing"]),
        (sim, ["--regressions", "folder"], USAGE, ["folder"]),
        (sim, ["--regressions", "seeds"], FAILED, ["seeds:2"]),
        (runtime, [], USAGE, ["script"]),
        (runtime, ["--fresj", "script.lua"], USAGE, ["--fresj"]),
        (runtime, ["script.lua", "--fresj"], USAGE, ["--fresj"]),
        (runtime, ["--pmem", "pm", "script.lua"], USAGE, ["--pmem", "journal"]),
        (runtime, ["--pmem", "pm", "--policy", "snapshot", "script.lua"], USAGE, ["--pmem", "journal"]),
        (runtime, ["--policy", "journal", "script.lua"], USAGE, ["--policy", "--tap"]),
        (runtime, ["--policy", "none", "script.lua"], USAGE, ["--policy"]),
        (runtime, ["--address", "fd00::1", "script.lua"], USAGE, ["--address", "--tap"]),
        (runtime, ["--prefix", "64", "script.lua"], USAGE, ["--prefix", "--tap"]),
        (runtime, ["--gateway", "fd00::1", "script.lua"], USAGE, ["--gateway", "--tap"]),
        (runtime, ["--tap", "kn9", "--address", "x", "script.lua"], USAGE, ["--address x"]),
        (runtime, ["folder"], FAILED, ["folder"]),
        (runtime, ["missing.lua"], FAILED, ["missing.lua"]),
        (runtime, ["--state", "missing/image", "script.lua"], FAILED, ["missing/image"]),
        (runtime, ["--state", "noise", "script.lua"], FAILED, ["noise", "--fresh"]),
        (server, ["--port", "0"], USAGE, ["--port"]),
        (server, ["--port", "65536"], USAGE, ["--port"]),
        (server, ["--prefix", "129"], USAGE, ["--prefix"]),
        (server, ["--tap", "kn9", "--address", "x"], USAGE, ["--address x"]),
        (server, ["--tap", "kn9", "--gateway", "x"], USAGE, ["--gateway x"]),
        (server, ["extra"], USAGE, ["extra"]),
        (server, ["--tap", "lo"], FAILED, ["lo"]),
        (server, ["--state", "missing/state"], FAILED, ["missing/state"]),
        (server, ["--state", "noise"], FAILED, ["noise"]),
        (server, ["--state", ""], FAILED, []),
    ]
    for echo in (["hello"], ["asio_echo"]):
        rows += [(echo, [], USAGE, ["--help"]), (echo, ["a", "b", "c", "d"], USAGE, ["--help"]),
                 (echo, ["lo", "fd00::2", "s"], FAILED, ["lo"]), (echo, ["kn9", "x", "s"], USAGE, ["x"])]
    for program, arguments, status, words in rows:
        done = run(program, *arguments, cwd=directory)
        if done is None:
            continue
        said = words is None and done.stderr == "" and arguments[0] in done.stdout or (
            words is not None and is_one_line(done, program, *words))
        check(" ".join([*program, *arguments]), done.returncode == status and said, done)
    return len(rows)


def is_kept(directory):
    """What a script's image has, an option does not change; its arguments are its own behind --."""
    base = ["--state", "image"]
    first = run(["persistent_runtime"], *base, "script.lua", "--", "--fresh", cwd=directory)
    check("script -- --fresh", first.returncode == DONE and first.stdout == "1\n", first)
    other = run(["persistent_runtime"], *base, "script.lua", cwd=directory)
    check("other arguments", other.returncode == FAILED and is_one_line(other, ["persistent_runtime"], "script.lua -- --fresh"[:10], "--fresh"), other)
    tap = run(["persistent_runtime"], *base, "--tap", "lo", "script.lua", cwd=directory)
    check("a network where there was none", tap.returncode == FAILED, tap)
    failed = run(["persistent_runtime"], "--state", "other", "fails.lua", cwd=directory)
    check("a script that fails", failed.returncode == FAILED and "no" in failed.stderr, failed)


def is_quiet():
    """Results on stdout; what is no terminal hears of no progress."""
    done = run(["keepnet", "sim"], "--seeds", "2", "--first", "1")
    check("keepnet sim --seeds 2", done.returncode == DONE and done.stderr == "" and done.stdout.startswith("seeds=2 failures=0"), done)


def main():
    with tempfile.TemporaryDirectory(prefix="keepnet-programs.") as directory:
        for program in PROGRAMS:
            options = is_common(program)
            is_robust(program, options, directory)
        rows = take(directory)
        is_kept(directory)
        is_quiet()
        help_of_freestanding = run(["freestanding"], "--help")
        check("freestanding --help", help_of_freestanding.returncode == DONE and help_of_freestanding.stdout != "", help_of_freestanding)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(PROGRAMS)} programs, {rows} rows, {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main())
