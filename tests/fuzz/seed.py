"""The start of a small model file, up to the data of its tensors. usage: seed.py MODEL OUTPUT OUTPUT-OF-MANY-LAYOUTS"""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../hostile"))
from gguf import Gguf

# Type and bytes of some columns: every layout that fits 128 columns; the matrices take turns.
LAYOUTS = ((42, 18, 64), (142, 34, 128), (143, 28, 128), (135, 16, 64), (335, 16, 64), (134, 13, 64))
FLOATS = {b"blk.0.attn_k.weight": (1, 2, 1), b"blk.0.attn_v.weight": (0, 4, 1)}
FRONT = {134: 2, 135: 4, 335: 4}  # bytes of a row before its blocks


def write(path, data):
    with open(path, "wb") as file:
        file.write(data[:data.rindex(b".weight") + 64])


def of_many_layouts(data):
    model = Gguf(data)
    matrices = [tensor for tensor in model.tensors if tensor.kind == 36]
    for i, tensor in enumerate(matrices):
        kind, size, columns = FLOATS.get(tensor.name, LAYOUTS[i % len(LAYOUTS)])
        tensor.kind = kind
        tensor.data = bytes((FRONT.get(kind, 0) + tensor.dims[0] // columns * size) * tensor.dims[1])
    table = model.tensor("token_embd.weight")
    table.kind = 8
    table.data = bytes(34 * table.dims[0] // 32 * table.dims[1])
    return model.write()[0]


with open(sys.argv[1], "rb") as source:
    good = source.read()
write(sys.argv[2], good)
write(sys.argv[3], of_many_layouts(good))
