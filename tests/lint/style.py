"""House rules that a pattern can check: the tables below. The rest is for readers.

usage: style.py [--self-test] ROOT
"""
import os
import re
import sys
import tempfile

TEXT = (".c", ".h", ".inl", ".comp", ".py", ".md", ".yml", ".sh", ".build", ".txt", ".1", ".map", "dev", ".ci/run")
CODE = (".c", ".h", ".inl", ".comp", ".cl", ".py", ".sh", "dev", ".ci/run")
C = (".c", ".h", ".inl")
MAX_LINES = 800

LIBRARY = ("runtime/", "cpu/", "devices/", "npu/", "convert/")
PRODUCT = LIBRARY + ("include/", "tools/")
HOST = "runtime/base/host.c"


def call(names):
    return re.compile(r"(?<![\w.>])(?:%s)\s*\(" % names)


# What must not stand in C code, without comments and strings: pattern, folders, files excepted, why.
FORBIDDEN = [
    (call("(?:secure_)?getenv"), LIBRARY, [HOST], "the environment is read by bn_env"),
    (call("putenv|setenv|unsetenv"), PRODUCT, [], "the environment belongs to the caller"),
    (call("dlopen|dlsym|dlclose"), PRODUCT, ["runtime/base/dynlib.c"], "libraries are opened by runtime/base/dynlib.c"),
    (call("v?f?printf|v?dprintf|f?puts|f?putc|putchar|perror|fwrite"), LIBRARY[:-1], [], "the library never prints"),
    (call("printf|puts|putchar|perror"), ("convert/",), [], "the library never prints"),
    (call("_?exit|_Exit|quick_exit|abort|assert|err|errx|warn|warnx"), LIBRARY, [], "the library never exits"),
    (call("fork|vfork|system|popen|setlocale|signal|sigaction|atexit"), LIBRARY, [], "the process belongs to the caller"),
    (call("sched_setaffinity"), LIBRARY, [], "the caller's affinity is the caller's"),
    (call("malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|aligned_alloc|posix_memalign"), LIBRARY, [HOST],
     "memory comes from bn_alloc"),
    (call(r"strcpy(?!\s*\([^;]*,\s*\"\"\))|strcat|sprintf|vsprintf|gets|strtok|alloca"), PRODUCT, [], "unbounded or not reentrant"),
    (call("atoi|atol|atoll|atof"), PRODUCT, [], "cannot report an error"),
    (re.compile(r"typedef\s+struct\b"), PRODUCT, [], "plain struct bn_x, no typedefs of structs"),
    (re.compile(r"typedef\s[^;(]*\*\s*\w+\s*;"), PRODUCT, [], "no pointer typedefs"),
    (re.compile(r"-ffast-math|-Ofast|-funsafe-math"), PRODUCT, [], "results would depend on the compiler"),
]

# What must not stand in any text, comments included.
WORDS = [
    (re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b"), "finish it, or say in the documents what is missing"),
    (re.compile(r"^#+ .*\bcoming soon\b", re.I | re.M), "say what is there"),
]

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
VARIABLE = re.compile(r'"(BITNET_[A-Z0-9_]+)"')
MENTION = re.compile(r"`(BITNET_[A-Z0-9_]+)(?:=[^`]*)?`")


def bare(text):
    """C code without comments and strings, with the same line numbers."""
    def blank(match):
        piece = match.group()
        return '""' if piece[0] == '"' else "\n" * piece.count("\n") or " "
    return COMMENT_OR_STRING.sub(blank, text)


def files_of(root):
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders[:] = [f for f in folders if f in (".ci", ".github") or not f.startswith((".", "build", "dist"))]
        folders[:] = [f for f in folders if f not in ("data", "corpus", "__pycache__")]
        for file in sorted(files):
            path = os.path.relpath(os.path.join(folder, file), root)
            if path.endswith(TEXT):
                yield path


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1


def check_file(path, text):
    """Yields "path:line: text" for each violation."""
    lines = text.split("\n")
    if path.endswith(CODE) and len(lines) - 1 > MAX_LINES:
        yield f"{path}:{MAX_LINES}: {len(lines) - 1} lines, at most {MAX_LINES}"
    if text and not text.endswith("\n"):
        yield f"{path}:{len(lines)}: no newline at the end"
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            yield f"{path}:{number}: tab"
        if line.endswith((" ", "\r")):
            yield f"{path}:{number}: space at the end of the line"
    if path != "tests/lint/style.py":
        for pattern, why in WORDS:
            for match in pattern.finditer(text):
                yield f"{path}:{line_of(text, match)}: {match.group()}: {why}"
    if not path.endswith(C):
        return
    code = bare(text)
    for pattern, folders, excepted, why in FORBIDDEN:
        if path.startswith(folders) and path not in excepted:
            for match in pattern.finditer(code):
                yield f"{path}:{line_of(code, match)}: {match.group()}: {why}"


def check(root):
    found, count, used, tested = [], 0, {}, {}
    for path in files_of(root):
        with open(os.path.join(root, path), encoding="utf-8") as f:
            text = f.read()
        count += 1
        found += check_file(path, text)
        if path.endswith(".md"):
            found += [f"{path}:{line_of(text, match)}: no such file: {match.group(1)}" for match in LINK.finditer(text)
                      if not os.path.exists(os.path.join(root, os.path.dirname(path), match.group(1)))]
        if path.endswith(C):
            for match in VARIABLE.finditer(text):
                (used if path.startswith(PRODUCT) else tested).setdefault(match.group(1), f"{path}:{line_of(text, match)}")
    page = "docs/environment.md"
    listed = {}
    if os.path.exists(os.path.join(root, page)):
        with open(os.path.join(root, page), encoding="utf-8") as f:
            text = f.read()
        listed = {match.group(1): f"{page}:{line_of(text, match)}" for match in MENTION.finditer(text)}
    found += [f"{place}: {name} is not in {page}" for name, place in used.items() if name not in listed]
    found += [f"{place}: no code reads {name}" for name, place in listed.items() if name not in used and name not in tested]
    return found, count


# A small tree: each line marked "bad" must be found, and nothing else.
SELF_TEST = {
    "runtime/base/host.c": 'char *p = getenv("BITNET_LOG"); // getenv() is allowed here\nfree(p);\nabort(); // bad\n',
    "runtime/model/gguf.c": 'x = getenv("BITNET_SECRET"); // bad\nh = dlopen("x"); // bad\nprintf("x"); // bad\n'
                            'snprintf(a, 1, "printf(");\nh->free(p);\nfree(p); // bad\n/* exit(\n1) */\n'
                            'exit(1); // bad\nsprintf(a, "x"); // bad\nstatic_assert(1, "x");\nassert(x); // bad\n'
                            'strcpy(a, b); // bad\nstrcpy(a[f(x)], "x");\n',
    "runtime/model/gguf.h": "typedef struct bn_x y; // bad\ntypedef int *bn_int; // bad\ntypedef void (*bn_call)(int *);\n",
    "tools/bitnet_run.c": 'printf("x");\nexit(1);\nx = atoi("1"); // bad\n// TO' + 'DO bad\n\tx(); // bad\nx(); // bad \n',
    "tests/unit/t.c": "abort();\nprintf();\ngetenv(\"BITNET_TEST\");\n",
    "docs/environment.md": "`BITNET_LOG` is read\n`BITNET_GONE=1` is bad\n`BITNET_TEST` is for tests\n",
    "README.md": "[good](docs/environment.md#x) [good](https://example.org)\n[bad](docs/gone.md)\n",
    "cpu/long.c": "x();\n" * 799 + "x(); // bad\n" + "x();\n",
    "cpu/end.c": "x();\nx(); // bad",
}


def self_test():
    with tempfile.TemporaryDirectory() as root:
        expected = set()
        for path, text in SELF_TEST.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
            expected |= {f"{path}:{n}" for n, line in enumerate(text.splitlines(), 1) if re.search(r"\bbad\b", line)}
        found = {text.split(": ")[0] for text in check(root)[0]}
    for line in sorted(expected - found):
        print(f"not found: {line}")
    for line in sorted(found - expected):
        print(f"found, but right: {line}")
    return found != expected or not expected


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    found, count = check(sys.argv[1])
    print("\n".join(found + [f"{count} files, {len(found)} findings"]))
    return 1 if found or not count else 0


sys.exit(main())
