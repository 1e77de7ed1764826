"""What the tests of the command lines share: running a tool, and making model files."""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "gen"))
import gguf_keys  # noqa: E402

RUN = os.environ["BITNET_TEST_RUN"]
TOKENIZE = os.environ["BITNET_TEST_TOKENIZE"]
MODEL = os.path.join(os.environ["BITNET_TEST_MODELS"], "stories.gguf")
DATA = os.environ["BITNET_TEST_DATA"]
VOCAB = os.environ["BITNET_TEST_VOCAB"]
HAVE_JSON = os.environ["BITNET_TEST_JSON"] == "1"
HAVE_PCRE2 = os.environ["BITNET_TEST_PCRE2"] == "1"
DRIVERS = os.environ["BITNET_TEST_DRIVERS"].split()  # of GPUs, that are built and have a device or a compiler for tests
CL = {"BITNET_OPENCL_WITHOUT": "binaries"}  # PoCL's own cache is quicker to fill
NEAR_TIE = 0.1  # margins of the golden tokens below which another choice is right too

needs_json = unittest.skipUnless(HAVE_JSON, "built without jansson")
scratch = tempfile.TemporaryDirectory(prefix="bitnet-cli-")


def environment(**more):
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith("BITNET_") and key not in ("NO_COLOR", "XDG_DATA_HOME")}
    # Meson puts there what a test depends on; the libraries of tests/fake are found by those tests alone that ask for them.
    fakes = os.path.realpath(os.environ["BITNET_TEST_FAKES"])
    kept["LD_LIBRARY_PATH"] = ":".join(folder for folder in kept.get("LD_LIBRARY_PATH", "").split(":")
                                       if folder and os.path.realpath(folder) != fakes)
    return {**kept, "HOME": scratch.name, "LC_ALL": "C", **more}


class Result:
    def __init__(self, done):
        self.code, self.out = done.returncode, done.stdout
        self.err = done.stderr.decode(errors="replace")

    @property
    def text(self):
        return self.out.decode()  # strict: stdout must be UTF-8

    @property
    def json(self):
        return json.loads(self.text)


def call(tool, *args, stdin=b"", env=None, timeout=240, **more):
    """Runs a tool with `stdin` as a pipe."""
    return Result(subprocess.run([tool, *map(str, args)], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=environment(**(env or {})), timeout=timeout, check=False, **more))


def run(*args, **more):
    return call(RUN, "-m", MODEL, *args, **more)


def tokenize(*args, **more):
    return call(TOKENIZE, "-m", MODEL, *args, **more)


def path_of(name):
    return os.path.join(scratch.name, name)


def write(name, data):
    with open(path_of(name), "wb") as file:
        file.write(data)
    return path_of(name)


def golden():
    with open(os.path.join(DATA, "stories", "golden.json"), encoding="utf-8") as file:
        return json.load(file)["texts"]


def options_of(tool):
    """Option names of --help, as (group, [names], takes a value)."""
    result = call(tool, "--help")
    assert result.code == 0 and not result.err, result.err
    found, group = [], None
    for line in result.text.splitlines():
        if re.fullmatch(r"\S.*:", line):
            group = line[:-1]
        match = re.match(r"  (-\S.*?)(?:  |$)", line)
        if not match:
            continue
        names, value = [], False
        for part in match.group(1).split(", "):
            word, _, argument = re.sub(r"\[=.*", " ARG", part).partition(" ")
            value = value or bool(argument)
            names += [word.replace("[no-]", ""), word.replace("[no-]", "no-")] if "[no-]" in word else [word]
        found.append((group, names, value))
    return found


def with_key(source, target, key, text):
    """A copy of a model file with one more text among its keys."""
    data = gguf_keys.load(source)
    reader = gguf_keys.Reader(data)
    reader.at = 8
    n_tensors, n_keys = reader.scalar("Q"), reader.scalar("Q")
    start = reader.at
    for _ in range(n_keys):
        reader.string()
        reader.value(reader.scalar("I"))
    keys, start = data[start:reader.at], reader.at
    for _ in range(n_tensors):
        reader.string()
        for _ in range(reader.scalar("I")):
            reader.scalar("Q")
        reader.scalar("I")
        reader.scalar("Q")
    tensors, body = data[start:reader.at], data[-(-reader.at // 32) * 32:]
    record = gguf_keys.text_record(key, gguf_keys.STRING, struct.pack("<Q", len(text)) + text.encode())
    head = data[:8] + struct.pack("<QQ", n_tensors, n_keys + 1) + keys + record + tensors
    return write(target, head + bytes(-len(head) % 32) + body)


def main(needs_model=True):
    """Runs the cases of the calling file. Exits 77 if all of them were skipped."""
    if needs_model and not HAVE_PCRE2:
        print("skipped: this build has no PCRE2, so the model is refused")
        sys.exit(77)
    program = unittest.main(module="__main__", argv=sys.argv[:1], verbosity=2, exit=False)
    skipped = program.result.skipped
    for case, reason in skipped:
        print(f"skipped: {case}: {reason}")
    if not program.result.wasSuccessful() or not program.result.testsRun:
        sys.exit(1)
    sys.exit(77 if len(skipped) == program.result.testsRun else 0)
