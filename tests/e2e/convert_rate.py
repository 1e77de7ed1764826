"""How fast bitnet-convert is beside a plain copy: a benchmark, `meson test -C build --benchmark "convert rate"`.

    convert_rate.py BITNET_CONVERT [FOLDER [MODEL]]

Makes the synthetic 2B-4T model (1.2 GB) in FOLDER or the place for temporary files, or takes MODEL; and a folder of masters in bf16
(1.1 GB) of random weights. Each conversion and, right before it, `cp` of a file as large as what it reads or writes, whichever is more, in
turns; of five rounds the medians. What is read is in the page cache, if that has room, and so is what is written. Ends with 1 if
the conversion that copies has less than 80 % of the copy's rate.
"""
import json
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

convert = sys.argv[1]
folder = tempfile.mkdtemp(prefix="bitnet-rate-", dir=sys.argv[2] if len(sys.argv) > 2 else None)
path = lambda name: os.path.join(folder, name)  # noqa: E731
ROUNDS = 5


def size_of(name):
    return sum(size_of(os.path.join(name, n)) for n in os.listdir(name)) if os.path.isdir(name) else os.stat(name).st_size


def drop(name):
    shutil.rmtree(name) if os.path.isdir(name) else os.path.exists(name) and os.remove(name)


def masters(name, hidden=2048, ff=5632, layers=11):
    """A folder with the tokenizer of a small model and random weights, as they are before they become ternary."""
    subprocess.run([convert, "-q", "--synthetic", "tiny", path("tiny.gguf")], check=True)
    subprocess.run([convert, "-q", "--folder", "floats", path("tiny.gguf"), name], check=True)
    with open(os.path.join(name, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config.update(hidden_size=hidden, intermediate_size=ff, num_hidden_layers=layers, num_attention_heads=16, num_key_value_heads=4)
    config.pop("head_dim", None)
    config["quantization_config"] = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}
    with open(os.path.join(name, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    at, entries = 0, {}
    shapes = {"model.embed_tokens": (config["vocab_size"], hidden), "model.norm": (hidden,)}
    for layer in range(layers):
        for tensor, shape in (("input_layernorm", (hidden,)), ("post_attention_layernorm", (hidden,)),
                              ("self_attn.attn_sub_norm", (hidden,)), ("mlp.ffn_sub_norm", (ff,)),
                              ("self_attn.q_proj", (hidden, hidden)), ("self_attn.k_proj", (hidden // 4, hidden)),
                              ("self_attn.v_proj", (hidden // 4, hidden)), ("self_attn.o_proj", (hidden, hidden)),
                              ("mlp.gate_proj", (ff, hidden)), ("mlp.up_proj", (ff, hidden)), ("mlp.down_proj", (hidden, ff))):
            shapes[f"model.layers.{layer}.{tensor}"] = shape
    for tensor, shape in shapes.items():
        bytes_ = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        entries[tensor + ".weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + bytes_]}
        at += bytes_
    header = json.dumps(entries).encode()
    block = bytearray(os.urandom(4 << 20))
    block[1::2] = bytes(0x3c | b & 0x80 for b in block[1::2])  # of magnitudes from 0.008 to 0.03
    with open(os.path.join(name, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for done in range(0, at, len(block)):
            file.write(block[:min(len(block), at - done)])


def timed(*command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(command, check=True)
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


def main():
    source, target = sys.argv[3] if len(sys.argv) > 3 else path("source.gguf"), path("target")
    if len(sys.argv) <= 3:
        subprocess.run([convert, "-q", "--synthetic", "2b4t", source], check=True)
    subprocess.run([convert, "-q", "-f", "-t", "iq2_bn", source, path("iq2_bn.gguf")], check=True)
    subprocess.run([convert, "-q", "--folder", "packed", source, path("packed")], check=True)
    masters(path("masters"))
    works = {
        "GGUF as it is": (source, []),
        "I2_S to TQ2_0": (source, ["-t", "tq2_0", "--lossy"]),
        "I2_S to TQ1_0": (source, ["-t", "tq1_0", "--lossy"]),
        "I2_S to IQ2_BN": (source, ["-t", "iq2_bn"]),
        "IQ2_BN to I2_S": (path("iq2_bn.gguf"), ["-t", "i2_s"]),
        "I2_S, --pack": (source, ["--pack"]),
        "packed folder to I2_S": (path("packed"), ["-t", "i2_s"]),
        "packed folder to TQ2_0": (path("packed"), ["-t", "tq2_0", "--lossy"]),
        "bf16 masters to I2_S": (path("masters"), ["-t", "i2_s"]),
        "I2_S to packed folder": (source, ["--folder", "packed"]),
    }
    times = {name: [] for name in works}
    copies, sizes = {name: [] for name in works}, {}
    for _ in range(ROUNDS + 1):  # the first one brings everything into the page cache
        for name, (start, args) in works.items():
            times[name].append(timed(convert, "-q", *args, start, target))
            sizes[name] = max(size_of(start), size_of(target))
            drop(target)
            with open(path("same"), "wb") as file, open(source, "rb") as model:
                model_bytes = os.fstat(model.fileno()).st_size
                for at in range(0, sizes[name], model_bytes):
                    model.seek(0)
                    left = min(model_bytes, sizes[name] - at)
                    while left:
                        left -= file.write(model.read(min(left, 8 << 20)))
            copies[name].append(timed("cp", path("same"), target)[0])
            drop(target)
            drop(path("same"))
    print("| conversion | MB | cp, MB/s | MB/s | of cp | CPU, s: user, system |\n|---|---|---|---|---|---|")
    share = {}
    for name in works:
        seconds, user, system = (statistics.median(column) for column in zip(*times[name][1:]))
        copied = statistics.median(copies[name][1:])
        share[name] = copied / seconds
        print(f"| {name} | {sizes[name] / 1e6:.0f} | {sizes[name] / copied / 1e6:.0f} | {sizes[name] / seconds / 1e6:.0f} "
              f"| {100 * share[name]:.0f} % | {user:.2f}, {system:.2f} |")
    return share["GGUF as it is"] < 0.8


try:
    code = main()
finally:
    shutil.rmtree(folder, ignore_errors=True)
sys.exit(code)
