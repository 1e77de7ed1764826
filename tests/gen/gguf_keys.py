"""Reads and rewrites the keys of a GGUF file, with the standard library only.

    gguf_keys.py IN[.xz] OUT [--set KEY=TEXT] [--true KEY] [--drop KEY]

writes a vocabulary-only file with some keys replaced; that is how the tests get the published BitNet 2B-4T's
vocabulary out of the one of Llama 3, which it is.
"""
import argparse
import lzma
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def load(path):
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as file:
        return file.read()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, code):
        value = struct.unpack_from("<" + code, self.data, self.at)[0]
        self.at += struct.calcsize(code)
        return value

    def string(self):
        n = self.scalar("Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            element, n = self.scalar("I"), self.scalar("Q")
            return [self.value(element) for _ in range(n)]
        return self.scalar(SCALARS[kind])


def records(data):
    """Yields (key, value, bytes of the whole record)."""
    reader = Reader(data)
    if reader.scalar("I") != 0x46554747 or reader.scalar("I") not in (2, 3):
        raise SystemExit("not a GGUF file of version 2 or 3")
    reader.scalar("Q")
    for _ in range(reader.scalar("Q")):
        start = reader.at
        key = reader.string().decode()
        yield key, reader.value(reader.scalar("I")), data[start:reader.at]


def keys(path):
    return {key: value for key, value, _ in records(load(path))}


def text_record(text, kind, body):
    return struct.pack("<Q", len(text)) + text.encode() + struct.pack("<I", kind) + body


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=TEXT")
    parser.add_argument("--true", action="append", default=[], metavar="KEY")
    parser.add_argument("--drop", action="append", default=[], metavar="KEY")
    options = parser.parse_args()
    kept = {key: record for key, _, record in records(load(options.source)) if key not in options.drop}
    for pair in options.set:
        key, text = pair.split("=", 1)
        kept[key] = text_record(key, STRING, struct.pack("<Q", len(text.encode())) + text.encode())
    for key in options.true:
        kept[key] = text_record(key, 7, b"\1")
    with open(options.target, "wb") as file:
        file.write(struct.pack("<IIQQ", 0x46554747, 3, 0, len(kept)) + b"".join(kept.values()))


if __name__ == "__main__":
    main()
