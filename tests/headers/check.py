"""Compiles every public header alone, as C17 or as C++17, with all warnings as errors.

usage: check.py INCLUDE-FOLDER c|c++ HEADER... -- COMPILER...
"""
import subprocess
import sys

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wundef", "-Werror"]


def main():
    include, language = sys.argv[1:3]
    split = sys.argv.index("--")
    headers, compiler = sys.argv[3:split], sys.argv[split + 1:]
    if not compiler:
        print(f"no {language} compiler")
        return 77
    standard = {"c": "-std=c17", "c++": "-std=c++17"}[language]
    failed = 0
    for header in headers:
        name = header.split("/include/")[-1]
        # Twice: the guard works, and the header ends outside of any declaration.
        source = f"#include <{name}>\n#include <{name}>\nextern int after_{abs(hash(name))};\n"
        command = compiler + [standard, *WARNINGS, "-fsyntax-only", "-I", include, "-x", language, "-"]
        run = subprocess.run(command, input=source, text=True, capture_output=True)
        print(f"{'ok' if run.returncode == 0 else 'FAILED'} {name} as {language}\n{run.stderr}", end="")
        failed += run.returncode != 0
    print(f"{len(headers)} headers, {failed} failed")
    return 1 if failed or not headers else 0


sys.exit(main())
