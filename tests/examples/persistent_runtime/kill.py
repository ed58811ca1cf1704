#!/usr/bin/env python3
"""A script without a network, killed again and again: it counts on, without a gap, to its end."""

import os
import random
import re
import subprocess
import sys
import tempfile
import time

SCRIPT = """
local total = 0
local numbers = coroutine.wrap(function() for i = 1, 400 do sleep(0.002) coroutine.yield(i) end end)
for i in numbers do
  total = total + i
  print(i, total)
end
"""


def lives(program, directory):
    """What each life printed; kills all but the last."""
    script = os.path.join(directory, "count.lua")
    with open(script, "w", encoding="ascii") as file:
        file.write(SCRIPT)
    command = [program, "--state", os.path.join(directory, "image"), "--interval", "5", script]
    said, kills = [], 0
    while True:
        assert kills < 200, "it does not come to its end"
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(random.uniform(0.03, 0.2))
        ended = process.poll() is not None
        process.kill()
        text = process.communicate()[0]
        said.append([tuple(map(int, line.split())) for line in re.findall(r".*\n", text)])
        if ended:
            assert process.returncode == 0, f"status {process.returncode}"
            return said
        kills += 1


def main():
    with tempfile.TemporaryDirectory(prefix="keepnet-runtime.") as directory:
        said = lives(sys.argv[1], directory)
        reached = 0
        for life in filter(None, said):
            numbers = [number for number, _ in life]
            assert numbers == list(range(numbers[0], numbers[-1] + 1)), f"a gap in {numbers}"
            assert all(total == number * (number + 1) // 2 for number, total in life), "a wrong sum"
            assert numbers[0] <= reached + 1, f"{numbers[0]} after {reached}"
            reached = max(reached, numbers[-1])
        assert reached == 400, reached
        assert len(said) > 3, "it was not killed often enough"
        assert any(life and life[0][0] > 10 for life in said), "every life began anew"
        assert max(map(len, said)) < 300, "one life did nearly everything"
        # The end is an end: another start runs nothing again.
        again = subprocess.run([sys.argv[1], "--state", os.path.join(directory, "image"),
                                os.path.join(directory, "count.lua")], capture_output=True, text=True, timeout=20)
        assert (again.returncode, again.stdout) == (0, ""), again
        print(f"killed {len(said) - 1} times")


main()
