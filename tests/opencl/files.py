"""The files of the OpenCL driver: the cache of programs, kernels of BITNET_SHADER_DIR.

usage: files.py CTS SHADERS/PORTABLE
"""
import glob
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, sys.argv[2])
import portable  # noqa: E402

HEADER = struct.Struct("<8sQQQ")  # struct header of devices/opencl/cache.c
failures = []


def check(condition, text):
    if not condition:
        failures.append(text)
        print(text)


def run(cts, **env):
    result = subprocess.run([cts, "--device=opencl", "embed"], capture_output=True, text=True,
                            env=dict(os.environ, BITNET_OPENCL_WITHOUT="", **env))
    return result.returncode, result.stdout + result.stderr


def fnv(data):
    value = 0
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


# A program that is there is used; one that is damaged, short, empty, of another key or refused by the driver is made anew.
def cache(cts):
    with tempfile.TemporaryDirectory() as folder:
        check(run(cts, BITNET_CACHE_DIR=folder)[0] == 0, "an empty cache")
        files = sorted(glob.glob(os.path.join(folder, "opencl-*.bin")))
        check(len(files) == 3 and all(os.stat(path).st_mode & 0o77 == 0 for path in files), f"cache files: {files}")
        if len(files) < 2 or failures:
            return
        # Programs that are made are written, to new files.
        before = [os.stat(path).st_ino for path in files]
        check(run(cts, BITNET_CACHE_DIR=folder)[0] == 0, "a full cache")
        check([os.stat(path).st_ino for path in files] == before, "programs of the cache were made again")
        path, good, other = files[0], read(files[0]), read(files[1])
        magic, key, size, _ = HEADER.unpack_from(good)
        check(size == len(good) - HEADER.size and fnv(good[HEADER.size:]) == HEADER.unpack_from(good)[3], "the header")
        foreign = b"no program, though its header is right"
        damaged = {
            "empty": b"", "half a header": good[:20], "a header alone": good[:HEADER.size], "short by a byte": good[:-1],
            "short by half": good[:len(good) // 2], "long by a byte": good + b"x", "all ones": b"\xff" * len(good),
            "another key": other, "refused": HEADER.pack(magic, key, len(foreign), fnv(foreign)) + foreign,
        }
        damaged |= {f"byte {at} flipped": flipped(good, at)
                    for at in (0, 8, 24, HEADER.size, len(good) - 1)}
        for name, data in damaged.items():
            write(path, data)
            status, text = run(cts, BITNET_CACHE_DIR=folder)
            check(status == 0, f"{name}: cts gives {status}: {text}")
            replaced = read(path)
            check(replaced[:16] == good[:16] and len(replaced) > HEADER.size and
                  fnv(replaced[HEADER.size:]) == HEADER.unpack_from(replaced)[3], f"{name}: was not replaced")
    check(run(cts, BITNET_CACHE_DIR="/dev/null/x")[0] == 0, "no place for the cache")


# A kernel of the folder is used; a mistake in it is named with file and line.
def override(cts):
    text = portable.text("embed.cl")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "embed.cl")
        write(path, text.replace("if (skips(slot, op))", "if (true)").encode())
        status, said = run(cts, BITNET_CACHE_DIR=folder, BITNET_SHADER_DIR=folder)
        check(status == 1 and "values differ" in said, f"the kernel of the folder was not used: {said}")
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("KERNEL "))
        write(path, "\n".join(lines[:at] + ["int mistake = nowhere;"] + lines[at:]).encode())
        number = at - max(i for i, line in enumerate(lines[:at]) if line.startswith("#line "))
        wanted = f"portable/embed.cl:{int(lines[at - number].split()[1]) + number - 1}:"
        status, said = run(cts, BITNET_CACHE_DIR=folder, BITNET_SHADER_DIR=folder)
        check(status == 1 and "refuses the kernel" in said and wanted in said, f"{wanted} is not in what is said: {said}")
        write(path, b"")
        check(run(cts, BITNET_CACHE_DIR=folder, BITNET_SHADER_DIR=folder)[0] == 0, "an empty kernel: the embedded one is used")


def main():
    cts = sys.argv[1]
    status, text = run(cts)
    if status == 77:
        print(text)
        return 77
    cache(cts)
    override(cts)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
