#!/usr/bin/env python3
"""Shows that check.py finds what it is for: a sound tree passes, and each fault planted in it is reported."""
import subprocess
import sys
import tempfile
from pathlib import Path

CHECK = Path(__file__).with_name("check.py")

SOUND = {
    "include/keepnet/a.hpp": "#pragma once\n#include <cstdint>\n#include <span>\nstruct A { A(const A&) = delete; };\n",
    "include/keepnet/checkpoint.hpp": "#include <string>\n#include <keepnet/a.hpp>\n",
    "include/keepnet/asio/tcp.hpp": "#include <boost/asio.hpp>\n",
    "src/base/b.hpp": '#include <keepnet/a.hpp>\nstatic constexpr int limit = 3;  // a new double in std::vector\n'
                      'inline constexpr char text[] = "malloc";\nstatic int next(int i) { return i + 1; }\n'
                      "void time(int value);\ninline void put(void* p) { ::new (p) int(3); }\n",
    "src/wire/w.cpp": '#include "base/b.hpp"\n#include "wire/w.hpp"\n',
    "src/wire/w.hpp": "/* std::mutex */\n",
    "src/state/s.hpp": '#include "base/b.hpp"\nstruct SState {\n    int a = 0;\n    int product() const { return a * a; }\n};\n',
    "src/tcp/t.cpp": '#include "ip/i.hpp"\n#include "state/s.hpp"\n',
    "src/ip/i.hpp": "",
    "src/checkpoint/c.cpp": '#include <capnp/message.h>\n#include <vector>\n#include "tcp/t.hpp"\nstd::vector<double> v;\n',
    "drivers/tap/tap.hpp": "#include <linux/if.h>\n#include <keepnet/a.hpp>\n#include <string>\n",
    "drivers/tap/tap.cpp": '#include "drivers/tap/tap.hpp"\n#include <unistd.h>\n',
    "examples/x/x.cpp": '#include <keepnet/a.hpp>\n#include "y.hpp"\n',
    "examples/x/y.hpp": "",
}

# file, text put in its place, what must be said about it
FAULTS = [
    ("src/base/b.hpp", '#include "wire/w.hpp"\n', "not downwards"),
    ("src/wire/w.hpp", '#include "state/s.hpp"\n', "not downwards"),
    ("src/state/s.hpp", '#include "wire/w.hpp"\n', "not downwards"),
    ("src/ip/i.hpp", '#include "tcp/t.hpp"\n', "not downwards"),
    ("src/tcp/t.cpp", '#include "durability/d.hpp"\n', "not downwards"),
    ("src/tcp/t.cpp", '#include "t.hpp"\n', "not from src/ on"),
    ("src/tcp/t.cpp", "#include <keepnet/checkpoint.hpp>\n", "not freestanding"),
    ("src/odd/o.cpp", "", "no place in the layers"),
    ("src/base/b.hpp", "#include <vector>\n", "includes <vector>"),
    ("src/base/b.hpp", "#include <sys/socket.h>\n", "includes <sys/socket.h>"),
    ("src/base/b.hpp", "auto t = std::chrono::steady_clock::now();\n", "a clock"),
    ("src/base/b.hpp", "int f() { return int(time(nullptr)); }\n", "a clock"),
    ("src/base/b.hpp", "std::random_device device;\n", "a source of entropy"),
    ("src/base/b.hpp", "int f() { return rand(); }\n", "a source of entropy"),
    ("src/base/b.hpp", "void f(std::mutex& m);\n", "a thread"),
    ("src/base/b.hpp", "thread_local int i;\n", "a thread"),
    ("src/base/b.hpp", 'auto p = getenv("HOME");\n', "the environment"),
    ("src/base/b.hpp", "int* f() { return new int; }\n", "the heap"),
    ("src/base/b.hpp", "void f(int* p) { delete p; }\n", "the heap"),
    ("src/base/b.hpp", "void* f() { return malloc(3); }\n", "the heap"),
    ("src/base/b.hpp", "void f() { std::cout << 3; }\n", "input or output"),
    ("src/base/b.hpp", "std::string f();\n", "std::string"),
    ("src/base/b.hpp", "std::map<int, int> f();\n", "an allocating container"),
    ("src/base/b.hpp", "std::unordered_map<int, int> f();\n", "an unordered container"),
    ("src/base/b.hpp", "void f(std::function<void()>);\n", "std::function"),
    ("src/base/b.hpp", "constexpr double ratio = 0.5;\n", "floating point"),
    ("src/base/b.hpp", "void f() { throw 3; }\n", "an exception"),
    ("src/base/b.hpp", "A* f(B* b) { return dynamic_cast<A*>(b); }\n", "RTTI"),
    ("src/base/b.hpp", "void f(int i) { assert(i); }\n", "the C library"),
    ("src/base/b.hpp", "void f() {\n    static int count = 0;\n}\n", "a mutable static"),
    ("src/base/b.hpp", "static std::uint64_t count;\n", "a mutable static"),
    ("src/base/b.hpp", "inline int count = 0;\n", "a mutable static or global"),
    ("src/base/b.hpp", "std::array<int, 3> table{};\n", "a mutable static or global"),
    ("src/state/s.hpp", "struct S {\n    int* next = nullptr;\n};\n", "a pointer in the state"),
    ("src/state/s.hpp", "struct S {\n    const Node* next;\n};\n", "a pointer in the state"),
    ("src/state/s.hpp", "struct S {\n    ByteView bytes{};\n};\n", "a view in the state"),
    ("src/state/s.hpp", "struct S {\n  private:\n    int a;\n};\n", "a private part"),
    ("src/stack/k.cpp", "#include <capnp/message.h>\n", "includes Cap'n Proto"),
    ("include/keepnet/a.hpp", "#include <capnp/message.h>\n", "includes Cap'n Proto"),
    ("include/keepnet/checkpoint.hpp", "#include <kj/io.h>\n", "includes Cap'n Proto"),
    ("include/keepnet/checkpoint.hpp", "#include <unistd.h>\n", "of the operating system"),
    ("include/keepnet/a.hpp", "#include <boost/asio.hpp>\n", "a public header includes <boost"),
    ("include/keepnet/a.hpp", '#include "base/b.hpp"\n', "write <keepnet/"),
    ("include/keepnet/a.hpp", "struct A { float a; };\n", "floating point"),
    ("drivers/tap/tap.cpp", '#include "base/b.hpp"\n', "drivers see include/ alone"),
    ("drivers/tap/tap.hpp", '#include "drivers/tap/other.hpp"\n', "not found once installed"),
    ("drivers/tap/tap.cpp", "#include <keepnet/checkpoint.hpp>\n", "a driver includes"),
    ("examples/x/x.cpp", '#include "base/b.hpp"\n', "not its own"),
]


def check(tree):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in tree.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, CHECK, folder], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


def main():
    wrong = []
    status, said = check(SOUND)
    if status != 0:
        wrong.append(f"a sound tree is refused: {said}")
    if check({})[0] == 0:
        wrong.append("an empty tree passes")
    for name, text, expected in FAULTS:
        status, said = check(SOUND | {name: text})
        if status == 0 or not any(line.startswith(name + ":") and expected in line for line in said.split("\n")):
            wrong.append(f"{name} with {text!r}: wanted {expected!r}, got {said!r}")
    for line in wrong:
        print(line)
    print(f"{len(FAULTS)} planted faults, {len(wrong)} not found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
