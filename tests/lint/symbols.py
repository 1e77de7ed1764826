"""The library exports exactly what its public headers declare, and needs no library beyond those listed here.

usage: symbols.py NM READELF libbitnet.so libbitnet.a HEADER...
"""
import re
import subprocess
import sys

NEEDED = re.compile(r"^(libc|libm|libpthread|libpcre2-8|libjansson|libz|ld-linux.*|libgcc_s)\.so\.\d+$|^libc\.musl-.*\.so\.1$")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
DECLARATION = re.compile(r"\bBN_API\b[^;(]*?\b(\w+)\s*\(")


def output(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def symbols(nm, *arguments):
    rows = (line.split() for line in output(nm, "--defined-only", "-P", *arguments).splitlines())
    return {row[0].split("@")[0] for row in rows if len(row) >= 2 and row[1] in "TDBRVWuGi"}


def main():
    nm, readelf, shared, static = sys.argv[1:5]
    declared = set()
    for header in sys.argv[5:]:
        with open(header, encoding="utf-8") as f:
            text = "\n".join(line for line in f if not line.startswith("#"))
        declared |= set(DECLARATION.findall(COMMENT.sub(" ", text)))
    exported = symbols(nm, "-D", shared) - {"BITNET_0"}
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output(readelf, "-d", shared))
    wrong = [f"declared, but not exported: {name}" for name in sorted(declared - exported)]
    wrong += [f"exported, but not declared: {name}" for name in sorted(exported - declared)]
    wrong += [f"in the static library, without bn_: {name}" for name in sorted(symbols(nm, "-g", static))
              if not name.startswith("bn_")]
    wrong += [f"needs {name}" for name in needed if not NEEDED.match(name)]
    print("\n".join(wrong + [f"{len(declared)} functions, {len(wrong)} findings"]))
    return 1 if wrong or not declared or not needed else 0


sys.exit(main())
