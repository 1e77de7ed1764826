"""The instructions of one token, counted by valgrind, against the figure in instructions.txt: more than 3 % above it is a failure.

usage: instructions.py ONE_TOKEN MACHINE COMPILER OPTIMIZATION SANITIZERS
"""
import os
import re
import shutil
import subprocess
import sys

program, machine, compiler, optimization, sanitizers = sys.argv[1:]
expected_file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.txt")
LIMIT = 0.03


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


lines = [line for line in open(expected_file, encoding="utf-8").read().splitlines() if line and line[0] != "#"]
pinned, number = lines[0].rsplit(":", 1)
expected = int(number)
build = f"{machine}, {compiler}, -O{optimization}"
if sanitizers != "none":
    skip("sanitizers add instructions")
if build != pinned:
    skip(f"the figure is for {pinned}; this is {build}")
if not shutil.which("valgrind"):
    skip("no valgrind")

run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
                      "--toggle-collect=one_token", program], stdin=subprocess.DEVNULL, capture_output=True, text=True)
counted = re.search(r"Collected\s*:\s*(\d+)", run.stderr)
if run.returncode != 0 or not counted:
    if "lacks that instruction set" in run.stdout:
        skip("no AVX2 here")
    sys.exit(f"valgrind failed with {run.returncode}:\n{run.stdout}{run.stderr}")
count = int(counted.group(1))
change = count / expected - 1
print(f"{count} instructions, {change:+.2%} against {expected} ({pinned})")
if change > LIMIT:
    sys.exit(f"more than {LIMIT:.0%} above the figure. If the change is worth it, write {count} into {expected_file}")
if change < -LIMIT:
    print(f"better by more than {LIMIT:.0%}: write {count} into {expected_file}")
