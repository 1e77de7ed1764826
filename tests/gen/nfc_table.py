"""The tables of runtime/text/nfc.inl, from Python's unicodedata.

    python3 tests/gen/nfc_table.py > runtime/text/nfc.inl

With --golden it writes tests/data/tokenizer/nfc.txt instead: texts and their form NFC, both in hexadecimal.
"""
import pathlib
import random
import sys
import unicodedata

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "data" / "tokenizer" / "nfc.txt"
CODES = [code for code in range(0x110000) if not 0xd800 <= code < 0xe000 and not 0xac00 <= code < 0xd7a4]


def decompositions():
    for code in CODES:
        mapping = unicodedata.decomposition(chr(code))
        if mapping and not mapping.startswith("<"):
            parts = [int(part, 16) for part in mapping.split()]
            yield code, parts[0], parts[1] if len(parts) > 1 else 0


def composes(code, second):
    """Whether the pair becomes the code again: not if it is excluded, or starts with a mark."""
    return second and unicodedata.normalize("NFC", unicodedata.normalize("NFD", chr(code))) == chr(code)


def classes():
    """Runs of characters of one combining class."""
    start = last = kind = 0
    for code in CODES + [0x110000]:
        now = unicodedata.combining(chr(code)) if code < 0x110000 else 0
        if kind and (now != kind or code != last + 1):
            yield start, last - start + 1, kind
            kind = 0
        if now and not kind:
            start, kind = code, now
        last = code


def wrapped(items, width=118):
    line = ""
    for item in items:
        if len(line) + len(item) + 1 > width:
            yield line
            line = ""
        line += (" " if line else "") + item
    yield line


def table():
    rows = list(decompositions())
    pairs = sorted((first, second, i) for i, (code, first, second) in enumerate(rows) if composes(code, second))
    print("// Canonical decompositions, compositions and combining classes of Unicode %s." % unicodedata.unidata_version)
    print("// Made by tests/gen/nfc_table.py.")
    print("//\n// PARTS: code, first, second part or 0. Ascending codes.")
    print("// PAIRS: rows of PARTS whose parts compose, in the order of the parts.")
    print("// CLASSES: code, n, class of n codes from this one on. Ascending codes.\n// clang-format off")
    for name, items in (("PARTS", ("{%#x,%#x,%#x}," % row for row in rows)),
                        ("PAIRS", ("%d," % i for _, _, i in pairs)),
                        ("CLASSES", ("{%#x,%d,%d}," % row for row in classes()))):
        print("#ifdef BN_NFC_%s" % name)
        print("\n".join(wrapped(items)))
        print("#endif")
    print("// clang-format on")


def golden():
    """Characters of Unicode 3.2, whose form later versions may not change."""
    old = [chr(code) for code in range(0x30000) if not 0xd800 <= code < 0xe000
           and unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Co")]
    moving = [c for c in old if unicodedata.combining(c) or unicodedata.normalize("NFC", c) != c]
    bases = [c for c in old if unicodedata.normalize("NFD", c) != c] + list("aAeEoOuUnNcC \u1100\u1161\u11a8\u3042")
    marks = [c for c in old if unicodedata.combining(c)]
    rng = random.Random(1)
    texts = ["", "plain", "e\u0301", "\u1e9b\u0323", "a\u0315\u0300\u05ae\u0300\u0062", "\uac00\u11a8", "\u1100\u1161\u11a8\u11a8",
             "<\u0338", "\u0344", "\u0958", "\u212b", "a" + "\u0301\u0323" * 40, "\u0301a", "e\u0301" * 30, "\u0dd9\u0dcf\u0dca"]
    texts += ["".join(moving[i:i + 24]) for i in range(0, len(moving), 24)]
    for _ in range(200):
        text = ""
        for _ in range(rng.randint(1, 12)):
            text += rng.choice(rng.choice([old, bases, moving])) + "".join(rng.choice(marks) for _ in range(rng.randint(0, 3)))
        texts.append(text)
    lines = ["%s\t%s\n" % (text.encode().hex(), unicodedata.normalize("NFC", text).encode().hex()) for text in texts]
    GOLDEN.write_text("".join(lines))


if "--golden" in sys.argv:
    golden()
else:
    table()
