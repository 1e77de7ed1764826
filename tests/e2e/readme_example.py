"""The README shows the example for integrators word for word.

usage: readme_example.py SOURCE README
"""
import os
import sys

SOURCE, README = sys.argv[1:3]
if not os.path.exists(README):
    print("there is no README.md")
    sys.exit(77)
with open(SOURCE, encoding="utf-8") as source, open(README, encoding="utf-8") as readme:
    if "```c\n" + source.read() + "```\n" not in readme.read():
        sys.exit(f"{README} does not show {SOURCE} as it is, in a block that starts with ```c")
