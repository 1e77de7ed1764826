"""The binary interface of libbitnet.so is the one in tests/abi/libbitnet.abi: sizes, offsets, values, functions.

usage: check.py [--refresh|--self-test] LIBRARY HEADER-FOLDER
Made and compared with abidw and abidiff of libabigail, from the debug information of an x86-64 build by gcc. After a
change that is meant: ninja -C build abi (that is --refresh), and commit the file with the change.
"""
import os
import platform
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(HERE, "libbitnet.abi")
PRIVATE = ["driver.h"]  # its structs are opaque for applications
DUMP = ["abidw", "--drop-private-types", "--exported-interfaces-only", "--no-corpus-path", "--no-comp-dir-path",
        "--no-show-locs", "--no-parameter-names", "--no-elf-needed", "--type-id-style", "hash",
        "--suppressions", os.path.join(HERE, "suppressions.ini")]
# What abidiff must notice: a change of the text of the dump.
CHANGES = {
    "a value of an enum": ("<enumerator name='BN_ERR_IO' value='3'/>", "<enumerator name='BN_ERR_IO' value='4'/>"),
    "a field's place": ("layout-offset-in-bits='32'", "layout-offset-in-bits='96'"),
    "a function that is gone": ("name='bn_result_name'", "name='bn_result_title'"),
    "a size": ("name='bn_error' size-in-bits='5504'", "name='bn_error' size-in-bits='5568'"),
}


def skip(reason):
    print(reason)
    sys.exit(77)


def dump(library, headers, folder):
    public = os.path.join(folder, "include")
    shutil.copytree(headers, public, ignore=shutil.ignore_patterns(*PRIVATE))
    out = os.path.join(folder, "now.abi")
    subprocess.run([*DUMP, "--headers-dir", public, "--out-file", out, library], check=True)
    with open(out, encoding="utf-8") as file:
        text = file.read()
    if "name='bn_error'" not in text:
        skip("the library has no debug information; it needs -Dbuildtype=debugoptimized or -Ddebug=true")
    return out, text


def differs(old, new):
    """abidiff's report, or nothing. Harmless changes count too: an added function belongs into the file."""
    done = subprocess.run(["abidiff", "--harmless", old, new], text=True, capture_output=True, check=False)
    if done.returncode & 3:
        sys.exit(f"abidiff failed\n{done.stdout}{done.stderr}")
    return done.stdout if done.returncode else ""


def self_test(out, text, folder):
    missed = 0
    for what, (old, new) in CHANGES.items():
        changed = os.path.join(folder, "changed.abi")
        with open(changed, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
        found = old in text and differs(out, changed)
        print(f"{'found' if found else 'NOT FOUND'}: {what}")
        missed += not found
    return 1 if missed else 0


def main():
    mode = sys.argv.pop(1) if sys.argv[1].startswith("--") else ""
    library, headers = sys.argv[1:]
    if not shutil.which("abidw") or not shutil.which("abidiff"):
        skip("abidw or abidiff is not installed (Debian: abigail-tools)")
    if platform.machine() != "x86_64":
        skip("the dump is that of x86-64")
    with tempfile.TemporaryDirectory() as folder:
        out, text = dump(library, headers, folder)
        if mode == "--refresh":
            shutil.copyfile(out, KEPT)
            print(f"wrote {os.path.relpath(KEPT)}")
            return 0
        if mode == "--self-test":
            return self_test(out, text, folder)
        found = differs(KEPT, out)
    if found:
        print(f"{found}\nThe binary interface has changed. If that is meant: ninja -C build abi, and commit the file.")
        return 1
    print("the binary interface is that of tests/abi/libbitnet.abi")
    return 0


sys.exit(main())
