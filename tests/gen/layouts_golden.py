"""Bytes of weight layouts made by other programs, or by their definitions written in NumPy.

usage: layouts_golden.py BITNET-CPP OUTPUT

BITNET-CPP is a checkout of microsoft/BitNet, whose converter makes TL1 and TL2. gguf-py (`pip install gguf`, 0.19) makes TQ1_0,
TQ2_0, Q8_0, Q5_0 and Q4_0, and widens Q6_K. The others have no encoder in Python: theirs are written down here from the formats.
OUTPUT is tests/data/layouts.bin: records of a name of 16 bytes, a u32 length, and so many bytes. Matrices have 8 rows and 768
columns; a scale is given to each group. tests/unit/test_golden_layouts.c makes the same trits, scales and floats.
"""
import ast
import os
import struct
import sys
import tempfile
import zlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

ROWS, COLS = 8, 768
CUTS = {  # of the presets, https://github.com/microsoft/BitNet/tree/main/preset_kernels: m, k, bm, bk, bmm
    "tl1": [(1536, 4096, 256, 128, 32), (1536, 1536, 128, 64, 64), (4096, 1536, 256, 128, 32), (3200, 8640, 160, 64, 32),
            (3200, 3200, 320, 128, 64), (1024, 4096, 128, 64, 64), (4096, 4096, 128, 64, 32)],
    "tl2": [(1536, 4096, 256, 96, 32), (1536, 1536, 128, 192, 32), (4096, 1536, 256, 96, 32), (3200, 8640, 160, 96, 32),
            (3200, 3200, 320, 96, 32), (1024, 4096, 256, 96, 32), (4096, 4096, 128, 96, 32)]}


def mixed(n, seed):
    """Numbers below 2^16 that look random."""
    x = (np.arange(n, dtype=np.uint64) + np.uint64(seed)) * np.uint64(2654435761) & np.uint64(0xffffffff)
    x ^= x >> np.uint64(15)
    return (x * np.uint64(2246822519) & np.uint64(0xffffffff)) >> np.uint64(16)


def trits(rows, cols, seed=1):
    return (mixed(rows * cols, seed) % np.uint64(3)).astype(np.int8).reshape(rows, cols) - 1


def scales(groups):
    """Exact as f16; some are negative."""
    i = np.arange(ROWS * groups)
    return ((1 + i * 7 % 13) / 16 * np.where(i % 5 == 4, -1, 1)).astype(np.float32).reshape(ROWS, groups)


def floats(rows, cols):
    return (mixed(rows * cols, 77).astype(np.float32) / 32768 - 1).reshape(rows, cols)


def halves(values):
    return np.ascontiguousarray(values.astype(np.float16)).view(np.uint8)


def base3(digits):
    """The last axis, most significant first, to bytes."""
    number = np.zeros(digits.shape[:-1], np.int64)
    for n in range(5):
        number = number * 3 + (digits[..., n] + 1 if n < digits.shape[-1] else 0)
    return ((number * 256 + 242) // 243).astype(np.uint8)


def two_bits(codes):
    """The last axis of four, the first in the bottom bits."""
    return ((codes + 1) << np.array([0, 2, 4, 6])).sum(axis=-1).astype(np.uint8)


def q2(block):
    t = trits(ROWS, COLS).reshape(ROWS, COLS // block, block // 4, 4)
    d = halves(scales(COLS // block)).reshape(ROWS, COLS // block, 2)
    return np.concatenate([d, two_bits(t)], axis=-1)


def ptq1():
    t = trits(ROWS, COLS).reshape(ROWS, COLS // 128, 128)
    parts = [base3(np.moveaxis(t[..., a:b].reshape(*t.shape[:2], digits, -1), 2, -1))
             for a, b, digits in ((0, 80, 5), (80, 120, 5), (120, 128, 4))]
    return np.concatenate(parts + [halves(scales(COLS // 128)).reshape(ROWS, -1, 2)], axis=-1)


def iq1_bn():
    t = trits(ROWS, COLS).reshape(ROWS, COLS // 64, 4, 16)
    fives = base3(t[..., :15].reshape(ROWS, -1, 12, 5)[..., ::-1])
    # the sixteenth ones: four digits from the least significant on, the top one being 0 (trit -1)
    last = np.concatenate([np.full((ROWS, COLS // 64, 1), -1), t[..., 15][..., ::-1]], axis=-1)
    blocks = np.concatenate([fives, base3(last)[..., None]], axis=-1).reshape(ROWS, -1)
    return np.concatenate([halves(scales(1)), blocks], axis=-1)


def iq2_bn():
    t = trits(ROWS, COLS).reshape(ROWS, COLS // 64, 4, 16)
    return np.concatenate([scales(1).view(np.uint8), two_bits(np.moveaxis(t, 2, 3)).reshape(ROWS, -1)], axis=-1)


def iq2_bn_r4():
    t = trits(ROWS, COLS).reshape(ROWS // 4, 4, COLS // 16, 4, 4)  # four rows, row, sixteen, s, i
    codes = two_bits(np.moveaxis(t, 3, 4))                          # four rows, row, sixteen, i
    codes = np.moveaxis(codes, 1, 2).reshape(ROWS // 4, -1)
    return np.concatenate([scales(1).reshape(-1, 4).view(np.uint8), codes], axis=-1)


def packed():
    return two_bits(np.moveaxis(trits(ROWS, COLS).reshape(4, ROWS // 4, COLS), 0, -1))


def with_gguf(kind, block):
    weights = trits(ROWS, COLS) * np.repeat(np.abs(scales(COLS // block)), block, axis=-1)
    return quants.quantize(weights.astype(np.float32), kind)


def lookup_tables(checkout):
    """The converter's own functions; the script as a whole needs PyTorch."""
    path = os.path.join(checkout, "utils/convert-hf-to-gguf-bitnet.py")
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    wanted = ("process_tl1", "preprocess_weights_tl1", "preprocess_two_weights_tl2", "preprocess_three_weights_tl2",
              "preprocess_weights_tl2")
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    names = {"np": np, "Tuple": tuple}
    exec(compile(tree, path, "exec"), names)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.mkdir("include")
        for kind, cuts in CUTS.items():
            with open("include/kernel_config.ini", "w", encoding="ascii") as file:
                for i, (m, k, bm, bk, bmm) in enumerate(cuts):
                    file.write(f"[Kernels_{i}]\nm = {m}\nk = {k}\nbm = {bm}\nbk = {bk}\nbmm = {bmm}\n")
            for m, k, *_ in cuts:
                data = names["preprocess_weights_" + kind](trits(m, k).astype(np.float32))
                yield kind, m, k, data.astype(np.uint8).tobytes()


def main():
    checkout, output = (os.path.abspath(argument) for argument in sys.argv[1:])
    records = {"tq1_0": with_gguf(Type.TQ1_0, 256), "tq2_0": with_gguf(Type.TQ2_0, 256), "q2_0": q2(64), "pq2_0": q2(128),
               "ptq1_0": ptq1(), "iq1_bn": iq1_bn(), "iq2_bn": iq2_bn(), "iq2_bn_r4": iq2_bn_r4(), "packed": packed()}
    for name, kind in (("q8_0", Type.Q8_0), ("q5_0", Type.Q5_0), ("q4_0", Type.Q4_0)):
        records[name] = quants.quantize(floats(2, 256), kind)
        records[name + ".f32"] = quants.dequantize(records[name], kind)
    records["q6_k"] = mixed(4 * 210, 5).astype(np.uint8).reshape(2, -1)
    records["q6_k"].reshape(4, 210)[:, 208:] = halves(np.array([1, -2.5, 0.001, 100]))[:, None].reshape(4, 2)
    records["q6_k.f32"] = quants.dequantize(records["q6_k"], Type.Q6_K)
    lines = [struct.pack("<4I", m, k, len(data), zlib.crc32(data)) if kind == "tl1" else
             struct.pack("<4I", m, k | 1 << 31, len(data), zlib.crc32(data))
             for kind, m, k, data in lookup_tables(checkout)]
    records["tl"] = np.frombuffer(b"".join(lines), np.uint8)
    with open(output, "wb") as file:
        for name, data in records.items():
            data = np.ascontiguousarray(data).tobytes()
            file.write(struct.pack("<16sI", name.encode(), len(data)) + data)


if __name__ == "__main__":
    main()
