"""Closes a run of ./dev: prints what failed and what was skipped, and last `N passed, N failed, N skipped`.

Reads a file of lines `pass|fail|skip <tab> name <tab> file with its output` and
`meson <tab> label <tab> testlog.json`. A program of Check counts with each of its cases.
Exits 1 if anything failed, or if nothing passed.
"""
import json
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.M)

UNITTEST_SKIP = re.compile(r"\.\.\. skipped ['\"]")


def results(path):
    """Yields (word, name, number of passed cases, number of failed cases, output)."""
    for line in open(path, encoding="utf-8"):
        word, name, log = line.rstrip("\n").split("\t")
        if word != "meson":
            output = open(log, encoding="utf-8", errors="replace").read()
            yield word, name, int(word == "pass"), int(word == "fail"), output
            continue
        for entry in open(log, encoding="utf-8"):
            test = json.loads(entry)
            output = test.get("stdout", "") + test.get("stderr", "")
            word = {"OK": "pass", "EXPECTEDFAIL": "pass", "SKIP": "skip"}.get(test["result"], "fail")
            passed, failed = int(word == "pass"), int(word == "fail")
            cases = [tuple(map(int, numbers)) for numbers in CHECK.findall(output)]
            if cases and word != "skip":
                wrong = sum(failures + errors for _, failures, errors in cases)
                passed = sum(checks for checks, _, _ in cases) - wrong
                failed = max(failed, wrong)
            title = f"{name}: {test['name']}"
            if test["result"] not in ("OK", "SKIP", "FAIL"):
                output += f"\n({test['result'].lower()}, exit status {test.get('returncode')})"
            yield word, title, passed, failed, output


def main():
    passed = failed = skipped = 0
    reasons = []
    for word, name, good, bad, output in results(sys.argv[1]):
        passed += good
        failed += bad
        if word == "skip":
            skipped += 1
            lines = output.strip().splitlines() or ["no reason given"]
            reasons.append((name, next((line for line in lines if UNITTEST_SKIP.search(line)), lines[-1])))
        elif word == "fail":
            print(f"--- failed: {name}")
            print(output.strip()[-20000:])
    for name, reason in reasons:
        print(f"skipped: {name}: {reason}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
