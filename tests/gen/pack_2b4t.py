#!/usr/bin/python3
"""Packs the published layer vectors of BitNet b1.58 2B-4T (JSON, 1.7 MB) into tests/data/2b4t/layer_vectors.bin.

usage: pack_2b4t.py layer_vectors.json layer_vectors.bin

Everything is little-endian and lies without gaps:
    u32 cases, n_embd, n_q, n_kv
    f32 eps, scale of attn_q, of attn_k, of attn_v
    f32 weight of blk.0.attn_norm [n_embd]
    per case: u32 token; f16 embedding [n_embd]; f32 norm's output [n_embd]; f32 q [n_q], k [n_kv], v [n_kv]
"""
import json
import struct
import sys


def floats(values):
    return struct.pack("<%df" % len(values), *values)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    norm = data["first_layer_rms_norm_metadata"]
    qkv = data["first_layer_attn_qkv_metadata"]
    parts = [qkv["q_weight"], qkv["k_weight"], qkv["v_weight"]]
    cases = data["test_cases"]
    out = struct.pack("<4I", len(cases), data["vector_length"], parts[0]["output_length"], parts[1]["output_length"])
    out += floats([norm["eps"]] + [part["quant_scale"] for part in parts])
    weight = bytes.fromhex(norm["weight"]["raw"]["tensor_bytes_hex"])
    assert len(weight) == 4 * data["vector_length"]
    out += weight
    for case in cases:
        row = bytes.fromhex(case["raw"]["row_bytes_hex"])
        assert len(row) == 2 * data["vector_length"]
        outputs = case["first_layer_attn_qkv"]["wqkv"]
        out += struct.pack("<I", case["token_id"]) + row + floats(case["first_layer_rms_norm"]["values"])
        joined = []
        for name, part in zip(("qcur", "kcur", "vcur"), parts):
            assert len(outputs[name]) == part["output_length"]
            joined += outputs[name]
        assert joined == outputs["values"]
        out += floats(joined)
    with open(sys.argv[2], "wb") as file:
        file.write(out)


main()
