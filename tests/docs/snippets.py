"""The programs in docs/api work as they stand: all blocks of a language in a page, put together, are one program.

usage: snippets.py cpp|python PAGE INCLUDE-FOLDER LIBRARY BITNET-RUN MODEL COMPILER...
They must tell the story that bitnet-run tells, and compute the four numbers that their page names.
"""
import os
import re
import subprocess
import sys
import tempfile

LOW_LEVEL = "-96\n-93\n-90\n-87\n"
PROMPT = "Once upon a time"


def run(command, **environment):
    done = subprocess.run(command, text=True, capture_output=True, env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    language, page, include, library, bitnet_run, model, *compiler = sys.argv[1:]
    folder = os.path.dirname(os.path.abspath(library))
    with open(page, encoding="utf-8") as file:
        program = "\n".join(re.findall(rf"^```{language}\n(.*?)^```$", file.read(), re.M | re.S))
    with tempfile.TemporaryDirectory() as scratch:
        source = os.path.join(scratch, "story." + {"cpp": "cpp", "python": "py"}[language])
        with open(source, "w", encoding="utf-8") as file:
            file.write(program)
        if language == "cpp":
            if not compiler:
                print("no C++ compiler")
                return 77
            command = [os.path.join(scratch, "story")]
            run([*compiler, "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", include, source, library,
                 "-o", *command])
        else:
            command = [sys.executable, "-B", source]
        if os.environ["BITNET_TEST_PCRE2"] != "1":
            print("this build has no PCRE2, so the model is refused")
            return 77
        told = run([*command, model], LD_LIBRARY_PATH=folder)
        bad = subprocess.run([*command, source], text=True, capture_output=True, check=False,
                             env={**os.environ, "LD_LIBRARY_PATH": folder})
    print(told, end="")
    story = run([bitnet_run, "-m", model, "-p", PROMPT, "-n", "48", "--greedy", "--no-display-prompt"])
    if len(story) < 100 or told != story.rstrip("\n") + "\n" + LOW_LEVEL:
        print(f"expected: {story}{LOW_LEVEL}")
        return 1
    if bad.returncode == 0 or os.path.basename(source) not in bad.stderr:
        print(f"a file that is no model: exit status {bad.returncode}, {bad.stderr}")
        return 1
    return 0


sys.exit(main())
