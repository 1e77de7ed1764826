"""The test: makes each hostile file, has `hostile` open it, and tries some of them with the tools.

usage: run.py HOSTILE BITNET-CONVERT BITNET-RUN BITNET-TOKENIZE
"""
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import make

LEAST = 200  # distinct files, not counting those that are cut short
TOOL_CASES = ("file-empty", "file-text", "magic-big-endian", "version-1", "key-name-escape", "architecture-7",
              "missing-tokenizer.ggml.tokens", "string-general.name-0x1000000000000000", "scale-nan-attn_q",
              "code-3-first-ffn_up", "token-twice", "merges-cycle", "pre-3", "tokenizer-7", "tensor-name-escape",
              "embedding-nan-all", "cut-at-4999", "token-control", "context_length-16777216")
FINE = ("token-control", "context_length-16777216")
NOT_OF_TEXT = ("scale-nan-attn_q", "code-3-first-ffn_up", "embedding-nan-all", "architecture-7")  # nothing to a tokenizer
DEADLINE = 60
MOST_MEMORY = 1 << 20  # KiB, of any process


def printable(data):
    """Of lines of text: nothing that steers a terminal."""
    text = data.decode()  # must be UTF-8
    return all(c == "\n" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in text)


def run_tool(command, wanted, complaints, name):
    done = subprocess.run(command, input=b"Once upon a time", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=DEADLINE, check=False)
    tool = os.path.basename(command[0])
    print(f"{tool} {name}: {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    lines = done.stderr.decode(errors="replace").splitlines()
    if done.returncode not in wanted:
        complaints.append(f"{tool} on {name}: exit status {done.returncode}")
    elif done.returncode and (not lines or not lines[0].startswith(tool + ": ") or
                              "case.gguf: " not in lines[0] and name != "embedding-nan-all"):
        complaints.append(f"{tool} on {name}: does not name the file")
    if done.returncode and not printable(done.stderr):
        complaints.append(f"{tool} on {name}: prints control characters")
    if done.returncode and done.stdout not in (b"", b"Once upon a time\n"):
        complaints.append(f"{tool} on {name}: prints a result")


def run_on_terminal(command):
    """What a terminal would get on stdout."""
    terminal, inside = os.openpty()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=inside, stderr=subprocess.DEVNULL) as process:
        os.close(inside)
        shown = b""
        try:
            while data := os.read(terminal, 65536):
                shown += data
        except OSError:  # the other end is closed
            pass
        process.wait(timeout=DEADLINE)
    os.close(terminal)
    return shown


def try_text(run, path, complaints):
    """Text with escape sequences in it: as it is to a file, harmless to a terminal."""
    command = [run, "-m", path, "-p", "Once", "-n", "32", "--greedy", "--ignore-eos", "-q", "--color=never"]
    plain = subprocess.run(command, stdout=subprocess.PIPE, timeout=DEADLINE, check=True).stdout
    shown = run_on_terminal(command)
    if b"\x1b[" not in plain:
        complaints.append("no escape sequence in the text, so nothing is tested")
    harmless = re.sub("[\0-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", plain.decode())
    if harmless.replace("\n", "\r\n").encode() != shown:
        complaints.append(f"a terminal gets {shown}")


def try_json(run, path, complaints):
    """Whatever a model is called, the output is JSON."""
    done = subprocess.run([run, "-m", path, "-p", "Once", "-n", "4", "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=DEADLINE, check=False)
    if done.returncode == 2 and b"jansson" in done.stderr:
        return
    try:
        name = json.loads(done.stdout)["model_name"]
        good = all(c.isprintable() for c in name)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        complaints.append(f"--json: {done.stdout} {done.stderr}")


def main():
    hostile, convert, run, tokenize = sys.argv[1:]
    complaints = []
    with tempfile.TemporaryDirectory() as folder:
        for arch in ("bitnet-b1.58", "bitnet-25", "bitnet"):
            subprocess.run([convert, "--synthetic", "tiny", "--arch", arch, "--quiet", os.path.join(folder, arch + ".gguf")],
                           check=True)
        goods = make.read_goods(folder)
        found = make.cases(goods)
        path = os.path.join(folder, "case.gguf")
        judge = subprocess.Popen([hostile], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", errors="replace")
        seen, n, cut, judged = {}, 0, 0, 0
        for case in found:
            make.write_case(case, goods, path)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read(1 << 24) + str(case.grow).encode()).digest()
            if digest in seen:
                complaints.append(f"{case.name} is the same file as {seen[digest]}")
            seen[digest] = case.name
            judge.stdin.write("\t".join((case.good, case.name, case.expected, case.subject, path)) + "\n")
            judge.stdin.flush()
            line = judge.stdout.readline()
            if not line.startswith("ok "):
                complaints.append(line.strip() or "no answer")
            print(line, end="")
            judged += 1
            cut += case.name.startswith("cut-")
            n += not case.name.startswith(("cut-", "good"))
            if case.name in TOOL_CASES:
                fine = case.name in FINE
                run_tool([run, "-m", path, "-p", "Once upon a time", "-n", "4", "--seed", "1"], (0,) if fine else (3,),
                         complaints, case.name)
                run_tool([tokenize, "-m", path], (0,) if fine or case.name in NOT_OF_TEXT else (3,), complaints, case.name)
            if case.name == "tokens-escape":
                try_text(run, path, complaints)
            if case.name in ("name-not-utf-8", "name-c1", "name-escape"):
                try_json(run, path, complaints)
            os.remove(path)
        judge.stdin.close()
        if judge.wait() not in (0, 1):
            complaints.append(f"hostile ended with {judge.returncode}")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if memory > MOST_MEMORY:
        complaints.append(f"a process took {memory} KiB of memory")
    if n < LEAST:
        complaints.append(f"{n} files, at least {LEAST} expected")
    for complaint in complaints:
        print("FAILED:", complaint)
    print(f"{judged} files: {n} bent, {cut} cut short; {2 * len(TOOL_CASES)} runs of tools; {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
