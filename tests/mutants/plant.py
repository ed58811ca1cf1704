#!/usr/bin/env python3
"""Copies src/ and plants every mutation of the list in the copy, each behind a switch.

    plant.py LIST-FOLDER SOURCE-FOLDER OUTPUT-FOLDER

A mutation is a table of a file of LIST-FOLDER (see README.md). Where its `old` is a statement, the copy says
`{ if (KEEPNET_MUTANT(n)) { new } else { old } }`, else `(KEEPNET_MUTANT(n) ? (new) : (old))`. A mutation that no longer
fits the source is an error that names it.
"""
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

NEAR = 2000   # characters behind `after` within which `old` must begin


@dataclass
class Place:
    file: str         # in src/
    old: str
    new: str
    after: str = ""   # `old` is the first one behind this, which occurs once in the file


@dataclass
class Mutant:
    name: str
    kind: str              # the mistake that it stands for
    module: str            # the list's file that it is in
    places: list
    equivalent: str = ""   # why nothing can see it

    @property
    def number(self):
        """Says the same whatever else is in the list, so that a longer list recompiles little (FNV-1a)."""
        n = 0x811C9DC5
        for byte in self.name.encode():
            n = ((n ^ byte) * 0x01000193) & 0xFFFFFFFF
        return n


class Unfit(Exception):
    pass


def read_list(folder):
    """Every mutation, in the order of files and lines. A table that repeats a name is one more place of that mutation."""
    mutants = {}
    for path in sorted(Path(folder).glob("*.toml")):
        try:
            for table in tomllib.loads(path.read_text())["mutant"]:
                place = Place(**{key: table.pop(key) for key in ("file", "old", "new", "after") if key in table})
                known = mutants.get(table["name"])
                if known is None:
                    mutants[table["name"]] = Mutant(module=path.stem, places=[place], **table)
                elif known.module == path.stem and len(table) == 1:
                    known.places.append(place)
                else:
                    raise Unfit(f"{known.name}: another one has its name")
        except (tomllib.TOMLDecodeError, TypeError, KeyError) as e:
            raise Unfit(f"{path.name}: {e}") from e
    numbers = {m.number: m for m in mutants.values()}
    if len(numbers) != len(mutants) or 0 in numbers:
        raise Unfit("two mutations have one number: another name, please")
    return list(mutants.values())


def locate(name, place, text):
    """Where `old` begins and ends."""
    start, end = 0, len(text)
    if place.after:
        if text.count(place.after) != 1:
            raise Unfit(f"{name}: `after` occurs {text.count(place.after)} times in {place.file}")
        start = text.index(place.after) + len(place.after)
        end = min(end, start + NEAR)
        if place.old not in text[start:end]:
            raise Unfit(f"{name}: `old` does not occur behind `after` in {place.file}")
    elif text.count(place.old) != 1:
        raise Unfit(f"{name}: `old` occurs {text.count(place.old)} times in {place.file}")
    at = text.index(place.old, start)
    return at, at + len(place.old)


def is_statement(code):
    return code.rstrip().endswith((";", "}"))


def switch(mutant, place, old):
    if is_statement(place.old):
        return f"{{ if (KEEPNET_MUTANT({mutant.number}u)) {{ {place.new} }} else {{ {old} }} }}"
    return f"(KEEPNET_MUTANT({mutant.number}u) ? ({place.new}) : ({old}))"


def plant(text, mutations):
    """`mutations`: pairs of a mutation and a place of it. They may lie inside each other; of two at the same place one is
    the other's `old`."""
    spots = sorted(((*locate(m.name, p, text), m, p) for m, p in mutations), key=lambda s: (s[0], -s[1]))
    position = 0

    def planted(begin, end):
        """text[begin:end] with what lies in it."""
        nonlocal position
        out, at = [], begin
        while position < len(spots) and spots[position][0] < end:
            first, last, mutant, place = spots[position]
            if last > end:
                raise Unfit(f"{mutant.name}: laps over another mutation in {place.file}")
            position += 1
            out.append(text[at:first])
            out.append(switch(mutant, place, planted(first, last)))
            at = last
        out.append(text[at:end])
        return "".join(out)

    return planted(0, len(text))


def write_changed(path, text):
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def main():
    listed, source, output = map(Path, sys.argv[1:4])
    by_file = {}
    for mutant in read_list(listed):
        for place in mutant.places:
            by_file.setdefault(place.file, []).append((mutant, place))
    unfit = []
    for path in sorted(source.rglob("*.[ch]pp")):
        name = path.relative_to(source).as_posix()
        text = path.read_text()
        try:
            planted = plant(text, by_file.pop(name, []))
        except Unfit as e:
            unfit.append(str(e))
            continue
        write_changed(output / name, planted)
    unfit += [f"{m.name}: there is no {name}" for name, mutations in by_file.items() for m, _ in mutations]
    for line in unfit:
        print(f"plant.py: {line}", file=sys.stderr)
    return 1 if unfit else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unfit as e:
        sys.exit(f"plant.py: {e}")
