"""Damaged and hostile model files, made from good ones, each with what must come of it.

usage: make.py GOOD FOLDER    writes them all and prints the table
       make.py GOOD NAME FILE writes one

GOOD is a folder with the three small synthetic models: bitnet-b1.58.gguf, bitnet-25.gguf, bitnet.gguf.
"""
import os
import struct
import sys

sys.dont_write_bytecode = True
from gguf import (ARR, BOOL, F32, F64, I32, I64, I8, STR, TYPE_F16, TYPE_F32, TYPE_I2S, U16, U32, U64, U8, Gguf, Tensor,
                  array, text, value)

# Outcomes: codes of enum bn_result without prefix, separated by | if more than one is right. OK: five tokens come out.
# SAME: the same five as from the good file, because what changed must not matter.
MODEL, UNSUPPORTED, NUMERIC, OK, SAME = "MODEL", "UNSUPPORTED", "NUMERIC", "OK", "SAME"
REFUSED = "MODEL|UNSUPPORTED"

A = "bitnet-b1.58."
T = "tokenizer.ggml."
NAN, INF = float("nan"), float("inf")
LAYER = {  # name: rows, columns
    "attn_norm": (1, 128), "attn_q": (128, 128), "attn_k": (32, 128), "attn_v": (32, 128), "attn_sub_norm": (1, 128),
    "attn_output": (128, 128), "ffn_norm": (1, 128), "ffn_gate": (384, 128), "ffn_up": (384, 128),
    "ffn_sub_norm": (1, 384), "ffn_down": (128, 384)}
NORMS = [name for name in LAYER if name.endswith("norm")]
LINEAR = [name for name in LAYER if not name.endswith("norm")]


class Case:
    """`edits` are done one after the other: functions of the model, or of the file's bytes if marked by `raw`."""

    def __init__(self, name, expected, subject, *edits, good="bitnet-b1.58", grow=0):
        self.name, self.expected, self.subject, self.edits, self.good = name, expected, subject, edits, good
        self.grow = grow  # the file's length, if it has a hole at its end

    def make(self, goods):
        model = goods[self.good].copy()
        late = []
        for edit in self.edits:
            if getattr(edit, "raw", False):
                late.append(edit)
            else:
                edit(model)
        data = bytearray(model.write()[0])
        for edit in late:
            data = edit(data)
        return bytes(data)


def raw(function):
    function.raw = True
    return function


# Edits.
def setting(**members):
    return lambda model: [setattr(model, name, to) for name, to in members.items()]


def poke(at, data):
    def edit(file):
        file[at:at + len(data)] = data
        return file
    return raw(edit)


def put(name, new):
    """Sets a key, or adds it."""
    def edit(model):
        key = model.find_key(name)
        if key:
            key[1:] = new
        else:
            model.keys.append([name.encode(), *new])
    return edit


def add(name, new, at=None):
    """Adds a key, also if there is one of that name."""
    name = name if isinstance(name, bytes) else name.encode()
    return lambda model: model.keys.insert(len(model.keys) if at is None else at, [name, *new])


def drop(name):
    return lambda model: model.keys.remove(model.key(name))


def drop_tensor(name):
    return lambda model: model.tensors.remove(model.tensor(name))


def add_tensor(name, dims, kind, data):
    name = name if isinstance(name, bytes) else name.encode()
    return lambda model: model.tensors.append(Tensor(name, dims, kind, data))


def change(which, /, **members):
    return lambda model: [setattr(model.tensor(which), member, to) for member, to in members.items()]


def write_in(name, at, data):
    """Overwrites bytes of a tensor; a negative position counts from its end."""
    def edit(model):
        tensor = model.tensor(name)
        start = at % len(tensor.data)
        tensor.data = tensor.data[:start] + data + tensor.data[start + len(data):]
    return edit


def fill(name, form, number):
    def edit(model):
        tensor = model.tensor(name)
        one = struct.pack(form, number)
        tensor.data = one * (len(tensor.data) // len(one))
    return edit


def scale(name, number):
    return write_in(name, -32, struct.pack("<f", number))


def tokens(function):
    """Changes the list of tokens; types and weights stay as long as they were."""
    def edit(model):
        items = model.strings(T + "tokens")
        model.key(T + "tokens")[1:] = array(STR, function(items) or items)
    return edit


def token(index, new):
    def edit(items):
        items[index] = new if isinstance(new, bytes) else new.encode()
    return tokens(edit)


def token_type(index, kind):
    def edit(model):
        key = model.key(T + "token_type")
        key[2] = key[2][:12 + 4 * index] + struct.pack("<i", kind) + key[2][16 + 4 * index:]
    return edit


def merges(*items):
    return put(T + "merges", array(STR, list(items)))


def first_line():
    magics = {"magic-ggml": b"GGML", "magic-ggjt": b"tjgg", "magic-lower": b"gguf", "magic-zero": bytes(4),
              "magic-elf": b"\x7fELF", "magic-gzip": b"\x1f\x8b\x08\0", "magic-ones": b"\xff" * 4}
    for name, magic in magics.items():
        yield Case(name, MODEL, "", setting(magic=magic))
    yield Case("magic-big-endian", UNSUPPORTED, "", setting(magic=b"FUGG"))
    for version in (0, 1, 4, 5, 0x02000000, 0x03000000, 2**31, 2**32 - 1):
        yield Case(f"version-{version:#x}", UNSUPPORTED, "", setting(version=version))
    yield Case("version-2", SAME, "", setting(version=2))
    for what in ("tensors", "keys"):
        for claimed in (65537, 2**24, 2**31, 2**32, 2**60, 2**63, 2**64 - 1):
            yield Case(f"{what}-{claimed:#x}", MODEL, "", setting(**{"n_" + what: claimed}))
    yield Case("tensors-one-more", MODEL, "", setting(n_tensors=25))
    yield Case("tensors-one-less", MODEL, "", setting(n_tensors=23))
    yield Case("tensors-none", MODEL, "token_embd.weight", setting(n_tensors=0))
    yield Case("keys-one-more", MODEL, "", setting(n_keys=25))
    yield Case("keys-one-less", MODEL, "", setting(n_keys=23))
    yield Case("keys-none", MODEL, "", setting(n_keys=0))
    for name, data in {"empty": b"", "one-byte": b"G", "zeros": bytes(4096),
                       "ones": b"\xff" * 4096, "text": b"version https://git-lfs.github.com/spec/v1\n",
                       "json": struct.pack("<Q", 64) + b'{"__metadata__":{"format":"pt"}}'.ljust(64),
                       "header-only": struct.pack("<4sIQQ", b"GGUF", 3, 0, 0)}.items():
        yield Case("file-" + name, MODEL, "", raw(lambda file, data=data: bytearray(data)))
    yield Case("file-twice", SAME, "", raw(lambda file: file + file))
    yield Case("file-garbage-behind", SAME, "", raw(lambda file: file + b"\xff" * 100000))
    yield Case("file-huge-hole-behind", SAME, "", grow=1 << 40)


def truncated(goods):
    data, marks = goods["bitnet-b1.58"].write()
    cuts = {mark + d for mark in marks for d in (-1, 0, 1)}
    cuts |= set(range(0, len(data), 4999)) | {len(data) - n for n in (1, 27, 28, 29, 31, 32, 33)}
    for cut in sorted(cuts):
        if 0 < cut < len(data):
            yield Case(f"cut-at-{cut}", MODEL, "", raw(lambda file, cut=cut: file[:cut]))


def keys():
    names = {"nul": b"general\0x", "escape": b"general.\x1b[2J", "newline": b"general.\n", "space": b"general. x",
             "delete": b"general.\x7f", "latin-1": b"general.\xe9", "c1": b"general.\xc2\x9b31m",
             "utf-8": "general.é".encode(), "bidi": "general.\u202egnp".encode(), "empty": b"",
             "long": b"general." + b"x" * 65528}
    for name, data in names.items():
        yield Case("key-name-" + name, MODEL, "", add(data, value(U32, 1)))
    for claimed in (65536, 2**31, 2**32, 2**60, 2**63, 2**64 - 8, 2**64 - 1):
        yield Case(f"key-name-of-{claimed:#x}", MODEL, "", poke(24, struct.pack("<Q", claimed)))
    for kind in (13, 14, 255, 2**31, 2**32 - 1):
        yield Case(f"key-type-{kind:#x}", MODEL, "general.x", add("general.x", (kind, bytes(64)), 1))
    for name in ("general.architecture", A + "block_count", T + "tokens", T + "bos_token_id", "tokenizer.chat_template"):
        yield Case("twice-" + name, MODEL, name, lambda model, name=name: model.keys.append(list(model.key(name))))
    for name in ("general.name", "general.architecture", T + "model", "tokenizer.chat_template", "general.x"):
        for claimed in (2**32, 2**60, 2**63, 2**64 - 1):
            yield Case(f"string-{name}-{claimed:#x}", MODEL, name, put(name, text("tiny", claimed)))
    for element in (U8, BOOL, I32, F64, STR):
        for claimed in (2**32, 2**60, 2**61, 2**63, 2**64 - 1):
            yield Case(f"array-{element}-of-{claimed:#x}", MODEL, "general.x",
                       put("general.x", array(element, bytes(64), claimed)))
    yield Case("array-string-endless", MODEL, "general.x", put("general.x", array(STR, b"\xff" * 7 + b"\x7f", 1)))
    yield Case("array-nested", MODEL, "general.x", put("general.x", array(ARR, array(U8, [1])[1], 1)))
    yield Case("array-nested-deep", MODEL, "general.x",
               put("general.x", (ARR, struct.pack("<IQ", ARR, 1) * 100000)))
    for element in (13, 255, 2**32 - 1):
        yield Case(f"array-type-{element:#x}", MODEL, "general.x", put("general.x", array(element, bytes(64), 1)))
    yield Case("array-empty", SAME, "", put("general.x", array(U64, [])))
    yield Case("bool-2", MODEL, "general.x", put("general.x", (BOOL, b"\2")))
    yield Case("bool-in-array", MODEL, "general.x", put("general.x", array(BOOL, b"\0\1\xff")))
    yield Case("keys-many", SAME, "", lambda model: model.keys.extend(
        [b"general.x%d" % i, *value(U8, 0)] for i in range(60000)))
    yield Case("name-huge", SAME, "", put("general.name", text("n" * (1 << 20))))
    yield Case("name-escape", SAME, "", put("general.name", text("\x1b]0;owned\x07\n\x7f")))
    yield Case("name-c1", SAME, "", put("general.name", text("\u009b31m\u202e")))
    yield Case("name-not-utf-8", SAME, "", put("general.name", text(b"\xff\xfe\x9b\xc3")))
    yield Case("name-nul", SAME, "", put("general.name", text("a\0b")))
    for number in (0, 1, 2, 4, 24, 33, 48, 1 << 21, 1 << 31):
        yield Case(f"alignment-{number}", MODEL, "general.alignment", put("general.alignment", value(U32, number)))
    yield Case("alignment-2^40", MODEL, "general.alignment", put("general.alignment", value(U64, 1 << 40)))
    yield Case("alignment-negative", MODEL, "general.alignment", put("general.alignment", value(I8, -32)))
    yield Case("alignment-text", MODEL, "general.alignment", put("general.alignment", text("32")))
    yield Case("alignment-1-MiB", MODEL, "token_embd.weight", put("general.alignment", value(U32, 1 << 20)))
    yield Case("alignment-64-claimed", MODEL, "", put("general.alignment", value(U32, 64)))
    yield Case("alignment-64", SAME, "", put("general.alignment", value(U32, 64)), setting(alignment=64))


def of_other_types():
    """Every key that is read, with a value of another type, and missing."""
    known = {A + "vocab_size": False, A + "context_length": True, A + "embedding_length": True, A + "block_count": True,
             A + "feed_forward_length": True, A + "attention.head_count": True, A + "attention.head_count_kv": None,
             A + "rope.dimension_count": False, A + "attention.layer_norm_rms_epsilon": True,
             A + "rope.freq_base": False, "general.architecture": True, T + "model": True, T + "tokens": True,
             T + "token_type": None, T + "merges": None, T + "bos_token_id": None, T + "eos_token_id": False,
             T + "padding_token_id": False, T + "add_bos_token": False, "tokenizer.chat_template": False,
             "general.name": False}
    others = {"bool": value(BOOL, 1), "f64": value(F64, NAN), "string": text("\x1b[31m"), "array-u8": array(U8, [1, 2]),
              "array-string": array(STR, ["1"]), "array-u64": array(U64, [2**63])}
    same = {T + "add_bos_token": "bool", "tokenizer.chat_template": "string", "general.name": "string",
            T + "model": "string", "general.architecture": "string", T + "tokens": "array-string",
            T + "merges": "array-string"}
    for name, required in known.items():
        for kind, other in others.items():
            if same.get(name) != kind:
                yield Case(f"{kind}-{name}", MODEL, name, put(name, other))
        if required is not None:
            yield Case("missing-" + name, MODEL if required else OK, name if required else "", drop(name))
    yield Case("missing-kv-heads", MODEL, "blk.0.attn_k.weight", drop(A + "attention.head_count_kv"))
    yield Case("missing-bos", MODEL, T + "add_bos_token", drop(T + "bos_token_id"))
    yield Case("missing-types", OK, "", drop(T + "token_type"))
    yield Case("missing-merges", OK, "", drop(T + "merges"))
    for name in ("hidden_activation", "attention.key_length", "attention.value_length", "rope.scaling.type",
                 "rope.scaling.factor", "attention.causal", "attention.sliding_window", "expert_count"):
        yield Case("array-" + name, MODEL, A + name, put(A + name, array(F32, [1])))
    yield Case("array-split.count", MODEL, "split.count", put("split.count", array(U16, [1])))
    yield Case("array-i2s_layout", MODEL, "bitnet.i2s_layout", put("bitnet.i2s_layout", array(STR, ["128/32"])))


def figures():
    """Counts and numbers out of range, or against each other."""
    most = {"context_length": 1 << 24, "embedding_length": 1 << 16, "block_count": 1024,
            "feed_forward_length": 1 << 18, "attention.head_count": 1024, "attention.head_count_kv": 1024,
            "attention.key_length": 1 << 16}
    for name, limit in most.items():
        for number in (0, limit + 1, 2**31, 2**32 - 1):
            yield Case(f"{name}-{number}", MODEL, A + name, put(A + name, value(U32, number)))
        yield Case(f"{name}-2^40", MODEL, A + name, put(A + name, value(U64, 2**40)))
        yield Case(f"{name}-negative", MODEL, A + name, put(A + name, value(I64, -1)))
    for name, number, expected, subject in (
            ("block_count", 1, UNSUPPORTED, "blk.1."), ("block_count", 3, MODEL, "blk.2.attn_norm.weight"),
            ("block_count", 1024, MODEL, "blk.2.attn_norm.weight"), ("context_length", 1, OK, ""),
            ("context_length", 1 << 24, SAME, ""), ("embedding_length", 127, REFUSED, "attention.head_count"),
            ("embedding_length", 256, REFUSED, ""), ("embedding_length", 65536, REFUSED, ""),
            ("feed_forward_length", 100, UNSUPPORTED, A), ("feed_forward_length", 256, MODEL, "blk.0.ffn_gate"),
            ("feed_forward_length", 1 << 18, MODEL, "blk.0.ffn_gate"), ("attention.head_count", 3, REFUSED, A),
            ("attention.head_count", 4, REFUSED, "rope.dimension_count"),
            ("attention.head_count", 128, REFUSED, "rope.dimension_count"),
            ("attention.head_count", 1024, REFUSED, A), ("attention.head_count_kv", 3, MODEL, A),
            ("attention.head_count_kv", 8, MODEL, "blk.0.attn_k.weight"), ("attention.head_count_kv", 16, MODEL, A),
            ("attention.key_length", 15, REFUSED, "rope.dimension_count"),
            ("attention.key_length", 17, REFUSED, "rope.dimension_count"),
            ("attention.key_length", 32, REFUSED, "rope.dimension_count"),
            ("attention.key_length", 65536, REFUSED, "rope.dimension_count"),
            ("attention.key_length", 16, SAME, ""), ("attention.value_length", 0, REFUSED, A),
            ("attention.value_length", 32, REFUSED, A), ("rope.dimension_count", 0, REFUSED, A),
            ("rope.dimension_count", 7, REFUSED, A), ("rope.dimension_count", 2**32 - 1, REFUSED, A),
            ("vocab_size", 0, MODEL, A), ("vocab_size", 511, MODEL, A), ("vocab_size", 2**32 - 1, MODEL, A)):
        yield Case(f"{name}-{number}", expected, (A if subject == A else "") + (name if subject == A else subject),
                   put(A + name, value(U32, number)))
    yield Case("head-size-odd", REFUSED, A, put(A + "attention.key_length", value(U32, 15)), drop(A + "rope.dimension_count"))
    yield Case("head-size-1", REFUSED, A, put(A + "attention.head_count", value(U32, 128)),
               drop(A + "rope.dimension_count"))
    yield Case("layers-as-i8", SAME, "", put(A + "block_count", value(I8, 2)))
    yield Case("layers-as-u64", SAME, "", put(A + "block_count", value(U64, 2)))
    for name, numbers in {"attention.layer_norm_rms_epsilon": (NAN, INF, -INF, 0, -0.0, -1e-5, 1, 1e30),
                          "rope.freq_base": (NAN, INF, -INF, 0, -10000, 0.5, 1e-40)}.items():
        for number in numbers:
            yield Case(f"{name}-{number}", MODEL, A + name, put(A + name, value(F32, number)))
        for number in (INF, -INF, 1e300):
            yield Case(f"{name}-f64-{number}", MODEL, A + name, put(A + name, value(F64, number)))
    yield Case("eps-denormal", OK, "", put(A + "attention.layer_norm_rms_epsilon", value(F32, 1e-45)))
    yield Case("theta-largest", OK, "", put(A + "rope.freq_base", value(F32, 3e38)))
    yield Case("theta-f64", SAME, "", put(A + "rope.freq_base", value(F64, 10000)))


def meanings():
    """Keys that change what is computed, and keys that do not."""
    key = "general.architecture"
    for number, name in enumerate(("falcon", "qwen35", "", "bitnet-b1.58 ", "BITNET-B1.58", "bitnet-b1.58\0", b"\xff\xfe",
                                   "\x1b[2J", "%s%n", "x" * (1 << 20))):
        yield Case(f"architecture-{number}", UNSUPPORTED, key, put(key, text(name)))
    yield Case("architecture-of-another", UNSUPPORTED, A, put(key, text("bitnet")))
    refused = {
        A + "expert_count": value(U32, 8), A + "expert_used_count": value(U32, 2),
        A + "attention.sliding_window": value(U32, 4096), A + "attention.causal": value(BOOL, 0),
        A + "rope.scaling.type": text("longrope"), A + "rope.scaling.factor": value(F32, 4),
        A + "rope.scale_linear": value(F32, NAN), A + "pooling_type": value(U32, 1),
        A + "attention.scale": value(F32, 1), A + "attention.clamp_kqv": value(F32, 8), A + "logit_scale": value(F32, 1),
        A + "final_logit_softcapping": value(F32, 30), A + "unknown": value(U8, 0), "llama.block_count": value(U32, 2),
        "prism.hadamard": value(U32, 128), "bitnet.i2s_order": text("1x4"), "x": value(U8, 0),
        A + "hidden_activation": text("mish"), "bitnet.i2s_layout": text("2x2"), "split.count": value(U16, 2)}
    for name, new in refused.items():
        yield Case("key-" + name, UNSUPPORTED, name, put(name, new))
    damaged = {
        A + "rope.scaling.factor": value(F32, NAN), A + "rope.scaling.attn_factor": value(F32, 0),
        A + "rope.scaling.yarn_beta_fast": value(F32, -1), "bitnet.activation_planes": value(U32, 0)}
    for name, new in damaged.items():
        yield Case("damaged-" + name, MODEL, name, put(name, new))
    harmless = {"general.unknown": text("x"), "tokenizer.unknown": array(F32, [NAN]), "split.no": value(U16, 7),
                A + "expert_count": value(U64, 0), A + "rope.scaling.type": text("none"),
                A + "rope.scaling.factor": value(F64, 1), A + "hidden_activation": text("relu2"),
                "bitnet.i2s_layout": text("128/32"), "quantize.imatrix.file": text("\x1b[2J")}
    for name, new in harmless.items():
        yield Case("harmless-" + name, SAME, "", put(name, new))
    for number in [*range(0, 40), *range(41, 46), 142, 143, 1023, 1024, 2**31, 2**32 - 1]:
        yield Case(f"file-type-{number}", SAME, "", put("general.file_type", value(U32, number)))
    yield Case("file-type-text", SAME, "", put("general.file_type", text("I2_S")))


def tensor_descriptions():
    every = ["token_embd.weight", "output_norm.weight"] + [f"blk.{i % 2}.{name}.weight" for i, name in enumerate(LAYER)]
    for name in every:
        yield Case("missing-" + name, MODEL, name, drop_tensor(name))
        yield Case("twice-" + name, MODEL, name, lambda model, name=name: model.tensors.append(model.tensor(name)))
        yield Case("3-dims-" + name, MODEL, name, lambda model, name=name: model.tensor(name).dims.extend(
            [1] * (2 - len(model.tensor(name).dims)) + [2]))
        yield Case("half-" + name, MODEL, name, lambda model, name=name: model.tensor(name).dims.__setitem__(0, 64))
        for kind in (2, 8, 34, 35, 37, 38, 39, 42, 2**32 - 1) if name in every[:4] else (8, 35):
            yield Case(f"type-{kind}-{name}", REFUSED if kind == 42 else UNSUPPORTED, name, change(name, kind=kind))
    for name in every:
        kind = TYPE_I2S if name.split(".")[-2] not in LINEAR else TYPE_F16
        yield Case(f"type-{kind}-{name}", REFUSED, name, change(name, kind=kind))
    q = "blk.0.attn_q.weight"
    yield Case("transposed", MODEL, "blk.0.ffn_down.weight", change("blk.0.ffn_down.weight", dims=[128, 384]))
    yield Case("embedding-short", MODEL, "token_embd.weight", change("token_embd.weight", dims=[128, 511]))
    yield Case("embedding-of-one-row", MODEL, "token_embd.weight", change("token_embd.weight", dims=[128 * 512]))
    for name, dims in {"0": [0, 128], "2^32": [2**32, 2**32], "2^63": [2**63, 1], "2^64-1": [2**64 - 1],
                       "wrap-to-16384": [2**63 + 64, 256], "2^31-rows": [128, 2**31], "none": [],
                       "four": [128, 128, 2**31, 2**31]}.items():
        yield Case("dims-" + name, MODEL, q, change(q, dims=dims))
    for count in (5, 255, 2**31, 2**32 - 1):
        yield Case(f"dims-count-{count}", MODEL, q, change(q, n_dims=count))
    names = {"long": b"x" * 65, "empty": b"", "escape": b"blk.0.\x1b[2J", "nul": b"blk.0.attn_q.weight\0",
             "not-utf-8": b"\xff\xfe", "c1": b"\xc2\x9b31m", "slash-n": b"a\nb"}
    for name, data in names.items():
        yield Case("tensor-name-" + name, MODEL, "", change(q, name=data))
    yield Case("tensor-name-huge", MODEL, "", change(q, name=b"x" * (1 << 16)))
    yield Case("tensor-name-format", MODEL, q, change(q, name=b"%s%n%99999d"))
    extra = {"blk.0.attn_q.bias": [128], "blk.0.attn_q.scale": [1], "blk.0.attn_q_norm.weight": [16],
             "blk.2.attn_norm.weight": [128], "blk.0.ffn_gate_exps.weight": [128], "blk.00.attn_norm.weight": [128],
             "blk.0.attn_norm.weight.lora_a": [128], "blk.-1.attn_norm.weight": [128],
             "blk.4294967296.attn_norm.weight": [128], "OUTPUT.WEIGHT": [128]}
    for name, dims in extra.items():
        yield Case("extra-" + name, UNSUPPORTED, name, add_tensor(name, dims, TYPE_F32, bytes(4 * dims[0])))
    yield Case("rope-factors-zero", MODEL, "rope_freqs.weight", add_tensor("rope_freqs.weight", [8], TYPE_F32, bytes(32)))
    yield Case("extra-head", MODEL, "output.weight", add_tensor("output.weight", [128, 2], TYPE_F32, bytes(1024)))
    yield Case("extra-%s%n", UNSUPPORTED, "%s%n", add_tensor("%s%n%99999d", [1], TYPE_F32, bytes(4)))
    yield Case("extra-many", REFUSED, "", lambda model: model.tensors.extend(
        Tensor(b"x%d" % i, [1], TYPE_F32, bytes(4)) for i in range(20000)))


def tensor_places():
    q = "blk.0.attn_q.weight"
    for offset in (1, 16, 33):
        yield Case(f"offset-{offset}", MODEL, q, change(q, offset=offset))
    for offset in (1 << 20, 1 << 40, 2**63, 2**64 - 32, 2**64 - 8192):
        yield Case(f"offset-{offset:#x}", MODEL, q, change(q, offset=offset))
    yield Case("offset-shared", MODEL, "", change(q, offset=0))
    yield Case("offset-inside-another", MODEL, "", change(q, offset=32))
    yield Case("offset-all-shared", MODEL, "", lambda model: [setattr(t, "offset", 0) for t in model.tensors])
    for name in LINEAR[:3] + ["attn_norm"]:
        name = f"blk.1.{name}.weight"
        yield Case("overlap-" + name, MODEL, name,
                   lambda model, name=name: setattr(model.tensor(name), "data", model.tensor(name).data[:-64]))
    yield Case("overlap-embedding", MODEL, "token_embd.weight",
               lambda model: setattr(model.tensors[0], "data", model.tensors[0].data[:-32]))
    yield Case("gap-behind-ternary", UNSUPPORTED, "blk.0.ffn_down.weight", change("blk.0.ffn_sub_norm.weight", skip=4096))
    yield Case("gap-behind-float", SAME, "", change("blk.0.ffn_down.weight", skip=4096))
    yield Case("order-reversed", SAME, "", lambda model: model.tensors.reverse())


def weights():
    for i, name in enumerate(LINEAR):
        full = f"blk.{i % 2}.{name}.weight"
        for number in (NAN, INF, -INF):
            yield Case(f"scale-{number}-{name}", MODEL, full, scale(full, number))
        yield Case(f"scale-huge-{name}", NUMERIC, "", scale(full, 3e38))
        yield Case(f"code-3-first-{name}", MODEL, full, write_in(full, 0, b"\xc0"))
        rows, columns = LAYER[name]
        yield Case(f"code-3-last-{name}", MODEL, full, write_in(full, rows * columns // 4 - 1, b"\x57"))
    for number in (0, -0.0, -1, 1e-45, -3e-39, 1e-30):
        yield Case(f"scale-{number}-all", OK, "", *(scale(f"blk.{i}.{name}.weight", number)
                                                    for i in range(2) for name in LINEAR))
    yield Case("codes-all-minus-one", OK, "", *(write_in(f"blk.0.{name}.weight", 0, bytes(8)) for name in LINEAR))
    yield Case("codes-all-3", MODEL, "blk.0.attn_q.weight", lambda model: [
        setattr(t, "data", b"\xff" * (len(t.data) - 32) + struct.pack("<f", 1) + bytes(28))
        for t in model.tensors if t.kind == TYPE_I2S])
    for order in ("64/16", "1x4"):
        yield Case(f"codes-{order}-of-128/32", OK, "", put("bitnet.i2s_layout", text(order)))
        yield Case(f"code-3-{order}", MODEL, "blk.1.ffn_up.weight", put("bitnet.i2s_layout", text(order)),
                   write_in("blk.1.ffn_up.weight", 12287, b"\x0c"))
    for name in NORMS + ["output_norm"]:
        full = f"blk.1.{name}.weight" if name in LAYER else name + ".weight"
        for number in (NAN, INF, -INF):
            yield Case(f"norm-{number}-{name}", MODEL, full, write_in(full, 508, struct.pack("<f", number)))
    for number in (0, -1, 1e-45):
        yield Case(f"norm-{number}-all", OK, "", *(fill(f"blk.{i}.{name}.weight", "<f", number)
                                                   for i in range(2) for name in NORMS))
        yield Case(f"norm-{number}-out", OK, "", fill("output_norm.weight", "<f", number))
    yield Case("norm-huge-out", NUMERIC, "", fill("output_norm.weight", "<f", 3e38))
    yield Case("norm-large-out", NUMERIC, "", fill("output_norm.weight", "<f", 1e37), fill("token_embd.weight", "<H", 0x7bff))
    yield Case("logit-of-one-row-inf", NUMERIC, "", write_in("output_norm.weight", 0, struct.pack("<f", 3e37)),
               lambda model: [write_in("output.weight", 256 * row, b"\xff\x7b" if row == 300 else bytes(2))(model)
                              for row in range(512)], good="bitnet-25")
    yield Case("norm-huge-attn", NUMERIC, "", fill("blk.0.attn_norm.weight", "<f", 3e38))
    e = "token_embd.weight"
    for name, bits in {"nan": 0x7e00, "signalling-nan": 0xfd01, "inf": 0x7c00, "minus-inf": 0xfc00}.items():
        yield Case(f"embedding-{name}-all", NUMERIC, "", fill(e, "<H", bits))
        for row in (0, 255, 511):
            yield Case(f"embedding-{name}-in-row-{row}", NUMERIC, "", write_in(e, 256 * row + 254, struct.pack("<H", bits)))
    yield Case("embedding-zero", OK, "", fill(e, "<H", 0))
    yield Case("embedding-denormal", OK, "", fill(e, "<H", 1))
    yield Case("embedding-largest", OK, "", fill(e, "<H", 0x7bff))
    wide = struct.pack("<f", 3e38) * (128 * 512)
    yield Case("embedding-f32-huge", NUMERIC, "", change(e, kind=TYPE_F32, data=wide))
    yield Case("embedding-bf16-nan", NUMERIC, "", change(e, kind=30, data=b"\xc0\x7f" * (128 * 512)))
    yield Case("head-nan", NUMERIC, "", write_in("output.weight", 300 * 256, b"\0\x7e"), good="bitnet-25")
    yield Case("head-inf", NUMERIC, "", write_in("output.weight", 300 * 256, b"\0\x7c"), good="bitnet-25")
    yield Case("head-missing", MODEL, "output.weight", drop_tensor("output.weight"), good="bitnet-25")
    s = "blk.0.ffn_up.scale"
    for number in (NAN, INF):
        yield Case(f"factor-{number}", MODEL, s, fill(s, "<f", number), good="bitnet")
    yield Case("factor-overflow", MODEL, s, fill(s, "<f", 3e38), scale("blk.0.ffn_up.weight", 3e38), good="bitnet")
    yield Case("factor-of-two", MODEL, s, change(s, dims=[2], data=bytes(8)), good="bitnet")
    yield Case("factor-f16", UNSUPPORTED, s, change(s, kind=TYPE_F16), good="bitnet")
    yield Case("factor-without-matrix", UNSUPPORTED, "blk.0.attn_norm.scale",
               add_tensor("blk.0.attn_norm.scale", [1], TYPE_F32, bytes(4)), good="bitnet")


# Other layouts: type, columns and bytes of a block, byte of its f16 scale (None: one in front of each row), whether code 3
# is one that it knows, and what that is.
LAYOUTS = {"q2_0": (42, 64, 18, 0, UNSUPPORTED), "pq2_0": (142, 128, 34, 0, UNSUPPORTED),
           "pq2_0-42": (42, 128, 34, 0, UNSUPPORTED), "ptq1_0": (143, 128, 28, 26, None), "iq1_bn": (134, 64, 13, None, None),
           "iq2_bn": (135, 64, 16, None, MODEL), "iq2_bn_r4": (335, 64, 16, None, MODEL)}
TABLES = {"q8_0": (8, 34), "q5_0": (6, 22), "q4_0": (2, 18)}


def encoded(layout, rows, columns, code, number):
    """A matrix all of whose bytes are `code`, with that scale."""
    kind, cols, size, at, _ = LAYOUTS[layout]
    blocks = columns // cols
    if at is not None:
        half = struct.pack("<e", number)
        block = (half + code * (size - 2)) if at == 0 else (code * (size - 2) + half)
        return block * (blocks * rows)
    front = struct.pack("<e" if layout == "iq1_bn" else "<f", number)
    if layout == "iq2_bn_r4":
        return (front * 4 + code * (4 * size * blocks)) * (rows // 4)
    return (front + code * (size * blocks)) * rows


def as_layout(layout, name, code=b"\x61", number=0.5, cut=0):
    rows, columns = LAYER[name.split(".")[-2]]
    data = encoded(layout, rows, columns, code, number)
    return change(name, kind=LAYOUTS[layout][0], data=data[:len(data) - cut] if cut >= 0 else data + bytes(-cut))


def layouts():
    every = [f"blk.{i}.{name}.weight" for i in range(2) for name in LINEAR]
    name = "blk.0.ffn_down.weight"  # 128 rows of 384 columns
    for layout, (_, _, size, _, three) in LAYOUTS.items():
        yield Case(f"{layout}-all", OK, "", *(as_layout(layout, each) for each in every))
        yield Case(f"{layout}-one", OK, "", as_layout(layout, name))
        yield Case(f"{layout}-zero", OK, "", *(as_layout(layout, each, number=0) for each in every))
        yield Case(f"{layout}-any-bytes", OK if three is None else three, "" if three is None else name,
                   as_layout(layout, name, b"\xff"))
        for number in (NAN, INF, -INF):
            yield Case(f"{layout}-scale-{number}", MODEL, name, as_layout(layout, name, number=number))
        yield Case(f"{layout}-scale-large", OK, "", as_layout(layout, name, number=65504))
        yield Case(f"{layout}-short", MODEL, name, as_layout(layout, name, cut=32))
        yield Case(f"{layout}-long", REFUSED, name, as_layout(layout, name, cut=-64))
        yield Case(f"{layout}-embedding-short", MODEL, "token_embd.weight", change(
            "token_embd.weight", kind=LAYOUTS[layout][0], data=encoded(layout, 512, 128, b"\x61", 1)[:-32]))
        yield Case(f"{layout}-embedding", OK, "", change(
            "token_embd.weight", kind=LAYOUTS[layout][0], data=encoded(layout, 512, 128, b"\x61", 1)))
        if three:
            yield Case(f"{layout}-embedding-code-3", three, "token_embd.weight", change(
                "token_embd.weight", kind=LAYOUTS[layout][0], data=encoded(layout, 512, 128, b"\x61", 1)[:-1] + b"\xd5"))
    yield Case("q2_0-and-pq2_0", REFUSED, "blk.0.", as_layout("q2_0", name), as_layout("pq2_0-42", "blk.0.ffn_up.weight"))
    for number, layout in ((135, "pq2_0"), (136, "ptq1_0")):
        yield Case(f"{layout}-of-file-type-{number}", UNSUPPORTED, name, put("general.file_type", value(U32, number)),
                   as_layout(layout, name))
        yield Case(f"{layout}-of-file-type-text", MODEL, "general.file_type", put("general.file_type", text("x")),
                   as_layout(layout, name))
    for key, reason in (("prism.hadamard.block_size", MODEL), ("prism.hadamard.sign_values", MODEL),
                        ("prism.hadamard.x", UNSUPPORTED), ("prism.hadamard", UNSUPPORTED), ("prism.x", UNSUPPORTED)):
        yield Case(f"ptq1_0-with-{key}", reason, key if reason == UNSUPPORTED else "prism.hadamard.version", put(key, value(U32, 128)), as_layout("ptq1_0", name))
    for table, (kind, size) in TABLES.items():
        for what, number, expected in (("", 0.01, OK), ("-nan", NAN, NUMERIC), ("-inf", INF, NUMERIC), ("-zero", 0, OK)):
            block = struct.pack("<e", number) + b"\x13" * (size - 2)
            yield Case(f"{table}-embedding{what}", expected, "", change(
                "token_embd.weight", kind=kind, data=block * (512 * 128 // 32)))
        yield Case(f"{table}-embedding-short", MODEL, "token_embd.weight", change(
            "token_embd.weight", kind=kind, data=bytes(size) * (512 * 128 // 32 - 2)))
        yield Case(f"{table}-matrix", UNSUPPORTED, name, change(name, kind=kind, data=bytes(size) * (128 * 384 // 32)))
    for kind, form in ((TYPE_F32, "<f"), (TYPE_F16, "<e")):
        for what, numbers, expected in (("ternary", (0.5, 0, -0.5), OK), ("master", (0.1, -0.9, 0.4), OK),
                                        ("zero", (0, -0.0, 0), OK), ("nan", (0.5, NAN, 0.5), MODEL),
                                        ("inf", (0.5, INF, -INF), MODEL), ("tiny", (1e-7, -1e-7, 2e-7), OK)):
            data = b"".join(struct.pack(form, number) for number in numbers) * (128 * 128)
            yield Case(f"floats-{kind}-{what}", expected, name if expected == MODEL else "", change(name, kind=kind, data=data))
    yield Case("floats-huge", NUMERIC, "", change(name, kind=TYPE_F32, data=struct.pack("<3f", 3e38, -2e38, 0) * (128 * 128)))


def vocabularies():
    t = T + "tokens"
    yield Case("vocabulary-empty", MODEL, t, put(t, array(STR, [])))
    yield Case("vocabulary-numbers", MODEL, t, put(t, array(U32, [1, 2])))
    yield Case("vocabulary-of-one", MODEL, "", put(t, array(STR, ["a"])))
    for claimed in (2**24 + 1, 2**31, 2**32, 2**60):
        yield Case(f"vocabulary-{claimed:#x}", MODEL, t, put(t, array(STR, bytes(4096), claimed)))
    yield Case("vocabulary-2^17-empty", REFUSED, "", put(t, array(STR, bytes(8 << 17), 1 << 17)), drop(T + "token_type"))
    yield Case("vocabulary-2^17-special", REFUSED, "",
               put(t, array(STR, ["<%x>" % (i * 40503 % (1 << 17)) for i in range(1 << 17)])),
               put(T + "token_type", array(I32, [3] * (1 << 17))))
    yield Case("token-last-missing", MODEL, T, tokens(lambda items: items[:-1]))
    yield Case("token-twice", MODEL, t + "[300]", token(300, "\u0120\u0120"))
    yield Case("token-special-twice", MODEL, t + "[501]", tokens(lambda items: items.__setitem__(501, items[500])))
    for name, data in {"not-utf-8": b"\xff", "cut": b"a\xc3", "surrogate": b"\xed\xa0\x80", "overlong": b"\xc0\x80",
                       "beyond": b"\xf4\x90\x80\x80"}.items():
        yield Case("token-" + name, MODEL, t + "[400]", token(400, data))
    yield Case("token-empty", MODEL, T + "merges", token(300, ""))
    yield Case("token-last-empty", MODEL, T + "merges[242]", token(495, ""))
    yield Case("token-special-empty", OK, "", token(505, ""))
    yield Case("token-all-special-empty", OK, "", tokens(lambda items: items[:498] + [b""] * 14))
    yield Case("token-bos-empty", OK, "", token(496, ""))
    yield Case("token-outside-alphabet", OK, "", token(505, "\u2603 \u00a0"), token_type(505, 1))
    yield Case("tokens-escape", OK, "", drop(T + "merges"), tokens(  # U+011B stands for ESC
        lambda items: items[:256] + [("\u011b[%dm" % i).encode() for i in range(256, 496)] + items[496:]))
    yield Case("token-nul", OK, "", token(505, "a\0b"))
    yield Case("token-control", OK, "", token(505, "\x1b[2J"))
    yield Case("token-byte-missing", UNSUPPORTED, "", token(78, "\u2603o"), drop(T + "merges"))
    yield Case("token-huge", REFUSED, t + "[505]", token(505, "x" * (1 << 20)))
    yield Case("token-huge-normal", REFUSED, t + "[400]", token(400, "x" * (1 << 20)), drop(T + "merges"))
    for number, data in enumerate(("<0x4>", "<0xG1>", "0x41", "a", "<0x041>", "<0x>")):
        yield Case(f"token-byte-{number}", MODEL, t + "[505]", token(505, data), token_type(505, 6))
    yield Case("token-byte-twice", OK, "", token(505, "<0x41>"), token_type(505, 6))
    for kind in (0, 7, -1, 2**31 - 1, -2**31):
        yield Case(f"token-type-{kind}", OK, "", token_type(505, kind))
    yield Case("token-types-all-unused", REFUSED, "", put(T + "token_type", array(I32, [5] * 512)))
    yield Case("token-types-all-control", REFUSED, "", put(T + "token_type", array(I32, [3] * 512)))
    yield Case("token-types-all-byte", MODEL, t + "[0]", put(T + "token_type", array(I32, [6] * 512)))
    for n in (0, 511, 513):
        yield Case(f"token-types-{n}", MODEL, T + "token_type", put(T + "token_type", array(I32, [1] * n)))
    for name in ("bos_token_id", "eos_token_id", "eot_token_id", "padding_token_id"):
        for number in (512, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1):
            yield Case(f"{name}-{number:#x}", MODEL, T + name, put(T + name, value(U64, number)))
        yield Case(f"{name}-negative", MODEL, T + name, put(T + name, value(I32, -1)))
    yield Case("eos-is-everything", OK, "", put(T + "eos_token_id", value(U32, 0)))
    for number, kind in enumerate(("wordpiece", "bert", "", "no_vocab", "gpt2 ", "rwkv", b"\xff", "\x1b[2J", "g" * 100000)):
        yield Case(f"tokenizer-{number}", UNSUPPORTED, T + "model", put(T + "model", text(kind)))
    for kind in ("llama", "t5"):
        yield Case(f"scores-short-{kind}", MODEL, T + "scores", lambda model, kind=kind: (
            put(T + "model", text(kind))(model), put(T + "scores", array(F32, [0] * 511))(model)))
        yield Case(f"scores-nan-{kind}", MODEL, T + "scores", lambda model, kind=kind: (
            put(T + "model", text(kind))(model), put(T + "scores", array(F32, [NAN] * 512))(model)))
    for number, pre in enumerate(("tekken", "LLAMA-BPE", b"\xff", "\x1b[2J", "p" * 100000)):
        yield Case(f"pre-{number}", UNSUPPORTED, T + "pre", put(T + "pre", text(pre)))
    for pre in ("", "default", "llama-bpe"):
        yield Case("pre-" + (pre or "empty"), SAME, "", put(T + "pre", text(pre)))


def merge_lists():
    m = T + "merges"
    bad = ("", " ", "a", "a ", " b", "a  b", "a b c", "ab a", "a \u2603", b"a \xff", "a b\n", "a\0 b", "a b\0",
           "\u0120 zzzz", "zzzz \u0120", "th the", "<|begin_of_text|> a", "x" * 100000 + " a", " " * 100000)
    for number, merge in enumerate(bad):
        yield Case(f"merge-{number}", MODEL, m + "[0]", merges(merge))
        if number % 4 == 0:
            yield Case(f"merge-{number}-second", MODEL, m + "[1]", merges("\u0120 \u0120", merge))
    yield Case("merges-itself", MODEL, m + "[1]", merges("\u0120 \u0120", "\u0120\u0120 \u0120\u0120\u0120\u0120\u0120"))
    yield Case("merges-cycle", MODEL, m + "[0]", token(498, "qz"), token(499, "zq"), merges("qz zq", "zq qz"))
    yield Case("merges-none", OK, "", merges())
    yield Case("merges-repeated", OK, "", merges(*["\u0120 \u0120"] * 1000))
    yield Case("merges-reversed", OK, "", lambda model: put(m, array(STR, model.strings(m)[::-1]))(model))
    for claimed in (2**24 + 1, 2**32, 2**60):
        yield Case(f"merges-{claimed:#x}", MODEL, m, put(m, array(STR, bytes(4096), claimed)))
    yield Case("merges-2^17", OK, "", merges(*["\u0120 \u0120"] * (1 << 17)))
    yield Case("merges-as-numbers", MODEL, m, put(m, array(I32, [1, 2])))


def templates():
    key = "tokenizer.chat_template"
    markers = "<|start_header_id|>{{ role }}<|end_header_id|><|eot_id|>"
    for name, template in {
            "empty": "", "endless": "{% for i in range(10**9) %}" * 10000, "deep": "{{(" * 100000, "nul": "a\0b" * 100,
            "not-utf-8": b"\xff\xfe" * 1000, "escape": "\x1b]0;owned\x07", "code": "{{ ''.__class__.__mro__[1] }}",
            "include": "{% include '/etc/passwd' %}", "format": "%s%s%n", "huge": markers * 20000, "markers": markers,
            "near": "<|start_header_id|><|end_header_id|><|eot_id", "human": "BITNETAssistant: " * 1000}.items():
        yield Case("template-" + name, SAME, "", put(key, text(template)))


def cases(goods):
    found = [Case("good", SAME, ""), Case("good-bitnet", OK, "", good="bitnet"), Case("good-25", OK, "", good="bitnet-25")]
    found += first_line()
    for make in (keys, of_other_types, figures, meanings, tensor_descriptions, tensor_places, weights, layouts, vocabularies,
                 merge_lists, templates):
        found += make()
    found += truncated(goods)
    assert len({case.name for case in found}) == len(found), "two cases of one name"
    return found


def read_goods(folder):
    goods = {}
    for name in ("bitnet-b1.58", "bitnet-25", "bitnet"):
        with open(os.path.join(folder, name + ".gguf"), "rb") as file:
            goods[name] = Gguf(file.read())
    return goods


def write_case(case, goods, path):
    with open(path, "wb") as file:
        file.write(case.make(goods))
        if case.grow:
            file.truncate(case.grow)


def main():
    if len(sys.argv) not in (3, 4):
        print(__doc__, file=sys.stderr)
        return 2
    goods = read_goods(sys.argv[1])
    for case in cases(goods):
        if len(sys.argv) == 3:
            write_case(case, goods, os.path.join(sys.argv[2], case.name.replace("/", "_") + ".gguf"))
            print(f"{case.name}\t{case.expected}\t{case.subject}")
        elif case.name == sys.argv[2]:
            write_case(case, goods, sys.argv[3])
    return 0


if __name__ == "__main__":
    sys.exit(main())
