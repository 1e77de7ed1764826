"""Each requirement of docs/requirements.md names what shows it, and that exists.

usage: requirements.py [--self-test] ROOT BUILD-FOLDER
In the last column of a table stand, between backticks: names of tests of the build, with their suite before a slash if two
have the same name; "./dev VERB ..." with a verb of ./dev; files of the tree.
"""
import json
import os
import platform
import re
import sys

PAGE = "docs/requirements.md"
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.*) \| (.*) \|$")
PROOF = re.compile(r"`([^`]+)`")
VERB = re.compile(r"^(\w+) +\|", re.M)


def check(page, tests, verbs, exists):
    """Yields what is wrong with the page."""
    names = {name.split("/", 1)[1] for name in tests} | set(tests)
    seen = set()
    for number, line in enumerate(page.splitlines(), 1):
        row = ROW.match(line)
        if not row:
            if re.match(r"^\| *[A-Z]\d", line):
                yield f"{PAGE}:{number}: not a row of three columns"
            continue
        key, _, shown = row.groups()
        if key in seen:
            yield f"{PAGE}:{number}: {key} is there twice"
        seen.add(key)
        proofs = PROOF.findall(shown)
        if not proofs:
            yield f"{PAGE}:{number}: {key}: nothing shows it"
        for proof in proofs:
            command = re.match(r"\./dev (\w+)", proof)
            if not (command and command.group(1) in verbs or proof in names or "/" in proof and exists(proof)):
                yield f"{PAGE}:{number}: {key}: there is no {proof}"
    if not seen:
        yield f"{PAGE}: no requirements"


def self_test():
    page = """| A1 | good | `one`, `lint/two`, `./dev test --full`, `a/file` |
| A2 | bad: no such test | `three` |
| A3 | bad: no such suite | `unit/two` |
| A4 | bad: no such verb | `./dev fly` |
| A5 | bad: no such file | `a/gone` |
| A6 | bad: nothing | by hand |
| A1 | bad: twice | `one` |
| A7 | bad |
"""
    found = list(check(page, ["unit/one", "lint/two"], {"test"}, lambda path: path == "a/file"))
    found += [text for text in check("", [], set(), os.path.exists) if "no requirements" in text]
    print("\n".join(found))
    return len(found) != 8


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    root, build = sys.argv[1:]
    if platform.machine() != "x86_64":
        print("the tests named are those of x86-64")
        return 77

    def text(path):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()

    tests = [suite.split(":")[-1] + "/" + test["name"]
             for test in json.loads(text(os.path.join(build, "meson-info", "intro-tests.json"))) for suite in test["suite"]]
    page = text(PAGE)
    found = list(check(page, tests, set(VERB.findall(text("dev"))), lambda path: os.path.exists(os.path.join(root, path))))
    print("\n".join(found + [f"{len(re.findall(r'^. [A-Z][0-9]+ .', page, re.M))} requirements, {len(found)} findings"]))
    return 1 if found else 0


sys.exit(main())
