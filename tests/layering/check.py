#!/usr/bin/env python3
"""Checks the include arrows between the folders, and what the core must not name. check.py [ROOT]

Prints `file:line: what is wrong` for each finding; the exit status is 1 when there is one.
"""
import re
import sys
from pathlib import Path

# What a folder of src/ may include besides itself. Downwards only; a pair that is not here is forbidden.
BELOW_IP = {"base", "wire", "state", "link"}
BELOW_TRANSPORT = BELOW_IP | {"ip", "nd", "mld"}
BELOW_DURABILITY = BELOW_TRANSPORT | {"tcp", "udp", "dns"}
BELOW_STACK = BELOW_DURABILITY | {"durability"}
MAY_INCLUDE = {
    "base": set(),
    "wire": {"base"},
    "state": {"base"},
    "link": {"base", "wire", "state"},
    "ip": BELOW_IP | {"nd"},  # within their row, one way: IP output asks neighbour discovery for the link address
    "nd": BELOW_IP - {"ip"},
    "mld": BELOW_IP,
    "tcp": BELOW_TRANSPORT,
    "udp": BELOW_TRANSPORT,
    "dns": BELOW_TRANSPORT,
    "durability": BELOW_DURABILITY,
    "stack": BELOW_STACK,
    "checkpoint": BELOW_STACK | {"stack"},
    "posix": set(),
    "hosted": set(),
}
HOSTED = {"checkpoint", "posix", "hosted"}  # folders of src/ that are ordinary hosted C++
HOSTED_PUBLIC = {"checkpoint.hpp", "journal_file.hpp", "posix.h", "posix_names.h", "posix_runtime.hpp"}  # public headers of those
HOSTED_FOLDERS = ("asio/", "hosted/")  # and folders of them
SYSTEM_PUBLIC = {"posix.h", "posix_names.h"}  # is made of the system's own types: sockaddr, msghdr, pollfd, epoll_event

# All of the standard library that the core uses: types and algorithms without a run-time library behind them.
CORE_STANDARD = set(
    "algorithm array atomic bit compare concepts cstddef cstdint cstring expected initializer_list iterator limits new numeric"
    " optional span string_view tuple type_traits utility version".split()
)

# What the text of the core must not say, comments and strings apart. (DESIGN section 1, rules 1, 2, 4 and 5)
FORBIDDEN = [
    (r"\bstd::chrono\b|\bchrono::|\b(?:steady|system|high_resolution)_clock\b", "a clock"),
    (r"(?<![\w.>:])(?:time|clock|gettimeofday|clock_gettime)\s*\(\s*(?:NULL|nullptr|0|CLOCK_\w+|)\s*[,)]", "a clock"),
    (r"\brandom_device\b|\bmt19937\b|(?<![\w.>:])s?rand\s*\(|\bgetrandom\b|\bgetentropy\b", "a source of entropy"),
    (r"\bstd::(?:j?thread|mutex|recursive_mutex|shared_mutex|lock_guard|unique_lock|condition_variable)\b"
     r"|\bpthread_\w+|\bthread_local\b", "a thread"),
    (r"\bgetenv\b|\benviron\b", "the environment"),
    (r"\bnew\b(?!\s*\()|\bdelete\b(?!\s*[;,)])|(?<![\w.>:])(?:malloc|calloc|realloc|free)\s*\("
     r"|\bstd::(?:make_)?(?:unique|shared)(?:_ptr)?\b(?!\s*\()|\boperator\s+(?:new|delete)\b", "the heap"),
    (r"\bstd::(?:i|o)?stream\b|\bstd::(?:cout|cerr|clog|cin)\b|(?<![\w.>:])f?printf\s*\(|\bstd::f?printf\b"
     r"|\bfopen\b|\bFILE\b", "input or output"),
    (r"\bstd::(?:w|u8)?string\b|\bstd::to_string\b|\bstd::format\b", "std::string"),
    (r"\bstd::(?:vector|deque|list|forward_list|map|set|multimap|multiset|queue|stack|priority_queue)\b",
     "an allocating container"),
    (r"\bunordered_(?:map|set|multimap|multiset)\b", "an unordered container"),
    (r"\bstd::(?:move_only_)?function\b|\bstd::any\b", "std::function"),
    (r"\b(?:double|float)\b", "floating point"),
    (r"\bthrow\b|\btry\b|\bcatch\b", "an exception"),
    (r"\bdynamic_cast\b|\btypeid\b", "RTTI"),
    (r"\berrno\b|(?<![\w.>:])(?:abort|exit|_exit)\s*\(\s*\d*\s*\)\s*;|\bassert\s*\(", "the C library"),
]
FORBIDDEN = [(re.compile(pattern), what) for pattern, what in FORBIDDEN]

# `static` that is neither constant nor a function: a local or a global that changes.
MUTABLE_STATIC = re.compile(r"\bstatic\s+(?!.*\b(?:constexpr|consteval|constinit const)\b)(?!const\b)[^();{}=]*(?:[;{=]|$)")
# At namespace scope, which is column 0 in this tree.
MUTABLE_GLOBAL = re.compile(
    r"^(?:inline\s+|extern\s+|constinit\s+)*(?!constexpr|const\b|using|namespace|struct|class|enum|union|template"
    r"|typedef|friend|static_assert|return|concept|inline|extern|requires|static|\[\[)[A-Za-z_][\w:<>, ]*[ &*]+[A-Za-z_]\w*"
    r"\s*(?:\[[^\]]*\])?\s*(?:=[^=].*|\{.*\})?;"
)

# The one file in src/state/ that is no value: how the arena's arrays are found, made anew at every start.
STATE_VIEW = {"world.hpp", "world.cpp"}

# In src/state/: members that do not survive being copied elsewhere, or that are no plain data.
STATE_FORBIDDEN = [
    (re.compile(r"^\s+(?:const\s+)?[\w:<>]+(?:\s+const)?\s*\*+\s*(?:const\s+)?\w+\s*(?:=[^;()]*|\{[^}]*\})?;"), "a pointer in the state"),
    (re.compile(r"^\s+(?:const\s+)?[\w:<>]+\s*&\s*\w+\s*;"), "a reference in the state"),
    (re.compile(r"\bvirtual\b"), "a virtual function in the state"),
    (re.compile(r"^\s*(?:private|protected)\s*:"), "a private part in the state"),
    (re.compile(r"^\s+(?:std::span<[^;()]*>|std::string_view|ByteView|MutableBytes)\s+\w+\s*(?:=[^;()]*|\{[^}]*\})?;"),
     "a view in the state"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
OPERATING_SYSTEM = re.compile(
    r"^(?:sys|linux|net|netinet|netinet6|arpa|asm|bits|rte_)\b|^(?:unistd|fcntl|signal|pthread|poll|dirent|dlfcn|"
    r"ifaddrs|netdb|sched|semaphore|termios|time)\.h$"
)


def without_comments(text):
    """The text with comments and the insides of strings blanked; lines stay where they are."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'', re.S)

    def blank(match):
        found = match.group(0)
        if found.startswith("/"):
            return re.sub(r"[^\n]", " ", found)
        return found[0] + " " * (len(found) - 2) + found[-1]

    return token.sub(blank, text)


class Checker:
    def __init__(self, root):
        self.root = root
        self.findings = []
        self.seen = 0

    def say(self, path, line, what):
        self.findings.append(f"{path.relative_to(self.root)}:{line}: {what}")

    def files(self, folder):
        for path in sorted((self.root / folder).rglob("*")):
            if path.suffix in {".hpp", ".cpp", ".h"} and path.is_file():
                self.seen += 1
                yield path, path.read_text(encoding="utf-8")

    def includes(self, text):
        for number, line in enumerate(text.split("\n"), 1):
            if match := INCLUDE.match(line):
                yield number, match.group(1) == "<", match.group(2)

    def check_core_include(self, path, line, angled, name):
        if not angled:
            return
        if name.startswith("keepnet/"):
            rest = name.removeprefix("keepnet/")
            if rest in HOSTED_PUBLIC or rest.startswith((*HOSTED_FOLDERS, "drivers/")):
                self.say(path, line, f"the core includes <{name}>, which is not freestanding")
        elif name not in CORE_STANDARD:
            self.say(path, line, f"the core includes <{name}>")

    def check_names(self, path, text):
        for number, line in enumerate(without_comments(text).split("\n"), 1):
            if INCLUDE.match(line):
                continue
            for pattern, what in FORBIDDEN:
                if pattern.search(line):
                    self.say(path, number, f"the core names {what}: {line.strip()}")
            if MUTABLE_STATIC.search(line) or MUTABLE_GLOBAL.search(line):
                self.say(path, number, f"a mutable static or global: {line.strip()}")

    def check_state(self, path, text):
        for number, line in enumerate(without_comments(text).split("\n"), 1):
            for pattern, what in STATE_FORBIDDEN:
                if pattern.search(line):
                    self.say(path, number, f"{what}: {line.strip()}")

    def check_src(self):
        for path, text in self.files("src"):
            folder = path.relative_to(self.root / "src").parts[0]
            if folder not in MAY_INCLUDE:
                self.say(path, 1, f"src/{folder} has no place in the layers")
                continue
            allowed = MAY_INCLUDE[folder] | {folder}
            for line, angled, name in self.includes(text):
                if not angled and name.split("/")[0] not in allowed:
                    self.say(path, line, f'{folder} includes "{name}": not downwards, or not from src/ on')
                if folder not in HOSTED:
                    self.check_core_include(path, line, angled, name)
                if name.startswith(("capnp/", "kj/")) and folder != "checkpoint":
                    self.say(path, line, f"{folder} includes Cap'n Proto")
            if folder not in HOSTED:
                self.check_names(path, text)
            if folder == "state" and path.name not in STATE_VIEW:
                self.check_state(path, text)

    def check_public(self):
        base = self.root / "include" / "keepnet"
        for path, text in self.files("include"):
            rest = path.relative_to(base).as_posix()
            hosted = rest in HOSTED_PUBLIC or rest.startswith(HOSTED_FOLDERS)
            for line, angled, name in self.includes(text):
                if not angled:
                    self.say(path, line, f'a public header includes "{name}"; write <keepnet/...>')
                elif name.startswith(("capnp/", "kj/")):
                    self.say(path, line, "a public header includes Cap'n Proto")
                elif OPERATING_SYSTEM.search(name) and not rest.startswith("asio/") and rest not in SYSTEM_PUBLIC:
                    self.say(path, line, f"a public header includes <{name}> of the operating system")
                elif name.startswith("boost/") and not rest.startswith("asio/"):
                    self.say(path, line, f"a public header includes <{name}>")
                elif not hosted:
                    self.check_core_include(path, line, angled, name)
            if not hosted:
                self.check_names(path, text)

    def check_drivers(self):
        for path, text in self.files("drivers"):
            driver = path.relative_to(self.root / "drivers").parts[0]
            for line, angled, name in self.includes(text):
                if name.startswith(("capnp/", "kj/", "src/", "../")):
                    self.say(path, line, f"a driver includes {name}")
                elif angled and name.startswith("keepnet/") and name.removeprefix("keepnet/") in HOSTED_PUBLIC:
                    self.say(path, line, f"a driver includes <{name}>")
                elif not angled and path.suffix == ".hpp" and "/" in name:
                    self.say(path, line, f'"{name}" is not found once installed; write <keepnet/drivers/...>')
                elif not angled and "/" in name and not name.startswith("drivers/"):
                    self.say(path, line, f'driver {driver} includes "{name}": drivers see include/ alone')

    def check_users(self):
        """Examples use what any user has."""
        for path, text in self.files("examples"):
            example = path.parent
            for line, angled, name in self.includes(text):
                if name.startswith(("capnp/", "kj/")):
                    self.say(path, line, "an example includes Cap'n Proto")
                elif not angled and not (example / name).exists() and not (self.root / name).exists():
                    self.say(path, line, f'an example includes "{name}", which is not its own')
                elif not angled and name.startswith(("src/", "drivers/", "include/")):
                    self.say(path, line, f'an example includes "{name}"; write <keepnet/...>')

    def run(self):
        self.check_src()
        self.check_public()
        self.check_drivers()
        self.check_users()
        return self.findings


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    checker = Checker(root.resolve())
    findings = checker.run()
    for finding in findings:
        print(finding)
    print(f"{checker.seen} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings or checker.seen == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
