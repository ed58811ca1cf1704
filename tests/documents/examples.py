#!/usr/bin/env python3
"""Every example in a comment of a public header, in a page and in the README compiles.
examples.py COMPILER BUILD [--list]

In a header an example is a run of comment lines that are indented by five spaces; in a page it is a fence that says cpp, and
what looks like C++ and is in no such fence is an error. A line that is `...` alone leaves something out.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADERS = [*sorted((ROOT / "include").rglob("*.h*")), *sorted((ROOT / "drivers").rglob("*.hpp"))]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LOOKS_LIKE_CPP = re.compile(r"(;|\{|\})\s*(//.*)?$")


def runs_in_header(path):
    """(first line, lines) of each example."""
    run, begins = [], 0
    for number, line in enumerate([*path.read_text(encoding="utf-8").split("\n"), ""], 1):
        match = re.match(r"\s*///? {5}(.*)", line)
        if match:
            begins = begins if run else number
            run.append(match.group(1))
        elif run:
            yield begins, run
            run = []


def runs_in_page(path):
    run, begins, fence = [], 0, None
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.lstrip().startswith("```"):
            if fence == "cpp":
                yield begins, run
            fence = line.strip()[3:] if fence is None else None
            run, begins = [], number + 1
        elif fence is not None:
            run.append(line)
        elif line.startswith("    ") and LOOKS_LIKE_CPP.search(line) and not line.lstrip().startswith(("-", "*", "|")):
            raise SystemExit(f"{path.relative_to(ROOT)}:{number}: C++ that is in no ```cpp: {line.strip()}")


def examples():
    for path in HEADERS:
        for begins, run in runs_in_header(path):
            if any(LOOKS_LIKE_CPP.search(line) for line in run):
                yield path, begins, run
    for path in PAGES:
        for begins, run in runs_in_page(path):
            yield path, begins, run


def misquoted():
    """What the README quotes of an example is in it, word for word."""
    hello = (ROOT / "examples/hello/hello.cpp").read_text(encoding="utf-8")
    quotes = ["\n".join(run) for _, run in runs_in_page(ROOT / "README.md")]
    return [quote for quote in quotes if "hosted::Application" in quote and quote not in hello] or (
        [] if any("hosted::Application" in quote for quote in quotes) else ["nothing is quoted"])


def source(found):
    text = '#include "prelude.hpp"\n'
    for number, (path, begins, run) in enumerate(found):
        at = f'#line {begins} "{path.relative_to(ROOT)}"\n'
        body = "".join("\n" if line.strip() == "..." else line + "\n" for line in run)
        if re.search(r"^int main\(", body, re.MULTILINE) or re.search(r"^#include", body, re.MULTILINE):
            includes = "".join(line + "\n" for line in body.split("\n") if line.startswith("#include"))
            rest = "".join("\n" if line.startswith("#include") else line + "\n" for line in body.split("\n"))
            rest = re.sub(r"\bint main\(", f"int main_{number}(", rest)
            text += f"{includes}namespace example_{number} {{\n{at}{rest}}}\n"
        else:
            text += f"auto example_{number}() {{\n{at}{body}}}\n"
    return text


def main():
    compiler, build = sys.argv[1], pathlib.Path(sys.argv[2])
    found = list(examples())
    if wrong := misquoted():
        print(f"README.md quotes what examples/hello does not say:\n{wrong[0]}", file=sys.stderr)
        return 1
    if "--list" in sys.argv:
        print(source(found))
        return 0
    done = subprocess.run([compiler, "-x", "c++", "-std=c++23", "-fsyntax-only", "-Wall", "-Wno-unused", "-Wno-unused-result",
                           "-I", ROOT / "include", "-I", build / "include", "-I", ROOT / "tests/documents", "-"],
                          input=source(found), text=True, stderr=subprocess.PIPE)
    print(done.stderr, file=sys.stderr)
    print(f"{len(found)} examples compiled" if done.returncode == 0 else "an example does not compile")
    return 0 if done.returncode == 0 and len(found) >= 15 else 1


sys.exit(main())
