"""What ./dev install put under a prefix works without the tree it came from, and ./dev uninstall leaves nothing of it.

usage: installed.py SOURCE-FOLDER BITNET-RUN COMPILER...
Works on a copy of the tree, so that the prefix of the build under test stays as it is. BITNET-RUN is the one of that build.
"""
import os
import shutil
import subprocess
import sys
import tempfile

OPTIONS = ["-p", "Once upon a time", "-n", "32", "--greedy"]
PROMPT = b"Once upon a time, a cat sat on a mat. \xe2\x82\xac!"
TOOLS = ["bitnet-bench", "bitnet-convert", "bitnet-devices", "bitnet-doctor", "bitnet-run", "bitnet-tokenize"]


def run(*command, data=b"", **options):
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n"
                 f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
    return done.stdout


def check_tools(top, environment, reference):
    """Runs what is installed, away from every tree. Yields what is wrong."""
    outside = {"env": environment, "cwd": "/"}

    def tool(name):
        return os.path.join(top, "bin", name)

    tools = os.listdir(os.path.join(top, "bin"))
    yield from (f"{name} is not installed" for name in TOOLS if name not in tools)
    for name in tools:
        run(tool(name), "--version", **outside)
        if not os.path.exists(os.path.join(top, "share/man/man1", name + ".1")):
            yield f"{name} has no man page"
    for model in (["-m", "stories"], []):
        text = run(tool("bitnet-run"), *model, *OPTIONS, **outside)
        if text != reference:
            yield f"bitnet-run {model}: {text!r} instead of {reference!r}"
    ids = run(tool("bitnet-tokenize"), "-m", "stories", "--no-bos", data=PROMPT, **outside)
    back = run(tool("bitnet-tokenize"), "-m", "stories", "--decode", data=ids, **outside)
    if back != PROMPT:
        yield f"bitnet-tokenize there and back: {back!r}"
    synthetic = os.path.join(environment["HOME"], "small.gguf")
    run(tool("bitnet-convert"), "--synthetic", "tiny", synthetic, **outside)


def check_library(top, environment, source, compiler):
    """Builds the example with pkg-config's flags, and runs it."""
    (folder,) = [folder for folder, _, files in os.walk(top) if "bitnet.pc" in files]
    flags = run("pkg-config", "--cflags", "--libs", "bitnet", env={**environment, "PKG_CONFIG_PATH": folder})
    program = os.path.join(environment["HOME"], "generate")
    run(*compiler, source, *flags.decode().split(), "-o", program, env=environment)
    text = run(program, os.path.join(top, "share/bitnet/models/stories.gguf"), "Once upon a time",
               env={**environment, "LD_LIBRARY_PATH": os.path.dirname(folder)}, cwd="/")
    if len(text) < 20:
        yield f"the example says {text!r}"


def main():
    source, bitnet_run, *compiler = sys.argv[1:]
    if os.environ["BITNET_TEST_PCRE2"] != "1":
        print("skipped: this build has no PCRE2, so the model is refused")
        return 77
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("BITNET_", "XDG_", "MESON", "LD_LIBRARY_PATH"))}
    with tempfile.TemporaryDirectory(prefix="bitnet-installed-") as root:
        home, tree, gone = (os.path.join(root, name) for name in ("home", "tree", "gone"))
        os.mkdir(home)
        environment = {**kept, "HOME": home}
        reference = run(bitnet_run, "-m", os.path.join(source, "models/stories.gguf"), *OPTIONS)
        example = os.path.join(home, "generate.c")
        shutil.copy(os.path.join(source, "examples/generate.c"), example)
        shutil.copytree(source, tree, symlinks=True, ignore=lambda folder, names: [
            name for name in names if folder == source and name.startswith(("build", ".git", "tests"))])
        dev = {"cwd": tree, "env": {**kept, "CC": " ".join(compiler)}}
        top = os.path.join(root, "some", "prefix")
        run("./dev", "install", "--no-install", "--prefix", top, **dev)
        run("./dev", "install", "--no-install", "--prefix", top, **dev)  # over the first
        os.rename(tree, gone)
        wrong = [*check_tools(top, environment, reference), *check_library(top, environment, example, compiler)]
        os.rename(gone, tree)
        run("./dev", "uninstall", **dev)
        left = [os.path.join(folder, name) for folder, folders, files in os.walk(os.path.join(root, "some"))
                for name in folders + files]
        wrong += [f"left: {path}" for path in left]
    print("\n".join(wrong + [f"{reference.decode()!r}, {len(wrong)} findings"]))
    return 1 if wrong else 0


sys.exit(main())
