"""Installs into an empty folder, then builds examples/generate.c from there, shared and static, and runs it.

usage: check.py MESON BUILD-FOLDER SOURCE-FOLDER PREFIX VERSION COMPILER...
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

EXPECTED = [r"include/bitnet/bitnet\.h", r"include/bitnet/engine\.h", r"lib.*/libbitnet\.so\.0", r"lib.*/libbitnet\.a",
            r"lib.*/pkgconfig/bitnet\.pc", r"bin/bitnet-run", r"bin/bitnet-tokenize",
            r"share/bitnet/models/stories\.gguf", r"share/man/man1/bitnet-run\.1"]
UNWANTED = [r"include/bitnet/driver\.h", r".*/tests?/.*"]


def run(command, **options):
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def installed_files(top):
    return [os.path.relpath(os.path.join(folder, file), top) for folder, _, files in os.walk(top) for file in files]


def main():
    meson, build, source, prefix, version, *compiler = sys.argv[1:]
    if not shutil.which("pkg-config"):
        print("no pkg-config")
        return 77
    with tempfile.TemporaryDirectory() as root:
        run([meson, "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root])
        top = root + prefix
        files = installed_files(top)
        wrong = [f"not installed: {p}" for p in EXPECTED if not any(re.fullmatch(p, f) for f in files)]
        wrong += [f"installed: {f}" for p in UNWANTED for f in files if re.fullmatch(p, f)]

        (pc,) = [f for f in files if f.endswith("bitnet.pc")]
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(os.path.join(top, pc)))
        libdir = os.path.dirname(os.path.dirname(os.path.join(top, pc)))

        def config(*arguments):
            command = ["pkg-config", f"--define-variable=prefix={top}", *arguments, "bitnet"]
            return run(command, env=environment).split()

        if config("--modversion") != [version]:
            wrong.append(f"bitnet.pc: version is {config('--modversion')}, not {version}")
        example = os.path.join(source, "examples", "generate.c")
        with open(example, encoding="utf-8") as f:
            lines = len(f.readlines())
        if lines > 40:
            wrong.append(f"{example}: {lines} lines, at most 40")
        link = {"shared": config("--libs"),
                "static": ["-l:libbitnet.a" if f == "-lbitnet" else f for f in config("--static", "--libs")]}
        text = {}
        for kind, flags in link.items():
            program = os.path.join(root, kind)
            run([*compiler, "-std=c17", "-Wall", "-Wextra", "-Werror", example, *config("--cflags"), *flags, "-o", program])
            if os.environ["BITNET_TEST_PCRE2"] != "1":
                continue
            path = {"LD_LIBRARY_PATH": libdir} if kind == "shared" else {}
            model = os.path.join(top, "share/bitnet/models/stories.gguf")
            text[kind] = run([program, model, "Once upon a time"], env={**os.environ, **path})
            print(f"{kind}: {text[kind]!r}")
    if text and (text["shared"] != text["static"] or len(text["shared"]) < 20):
        wrong.append("the two programs do not tell the same story")
    if not text:
        wrong.append("the programs were built, not run: this build has no PCRE2, so the model is refused")
    print("\n".join(wrong))
    return 0 if not wrong else 77 if len(wrong) == 1 and not text else 1


sys.exit(main())
