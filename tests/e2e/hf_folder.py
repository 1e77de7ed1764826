"""Folders of Hugging Face made from the default model's GGUF file, by plain Python that shares no code with the library."""
import copy
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "hostile"))
from gguf import ARR, STR, Gguf  # noqa: E402

NAMES = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_sub_norm": "self_attn.attn_sub_norm",
         "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj", "ffn_sub_norm": "mlp.ffn_sub_norm"}
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
         r"|\s+")
SHIFT = [bytes(b >> (6 - 2 * quarter) & 3 for b in range(256)) for quarter in range(4)]


def texts(data):
    (n,) = struct.unpack_from("<Q", data, 4)
    at, found = 12, []
    for _ in range(n):
        (length,) = struct.unpack_from("<Q", data, at)
        found.append(data[at + 8:at + 8 + length].decode())
        at += 8 + length
    return found


def bf16(value):
    """The nearest one, ties to even."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16


def codes(data, rows, cols):
    """Codes 0, 1, 2 of I2_S in order A, a byte each, by rows."""
    blocks = (data[at:at + 32].translate(SHIFT[quarter]) for at in range(0, rows * cols // 4, 32) for quarter in range(4))
    joined = b"".join(blocks)
    return [joined[r * cols:(r + 1) * cols] for r in range(rows)]


def packed(rows):
    """Bits 2i of byte (r, c): row i * n / 4 + r."""
    quarter, out = len(rows) // 4, []
    for r in range(quarter):
        word = 0
        for i in range(4):
            word |= int.from_bytes(rows[i * quarter + r], "little") << (2 * i)
        out.append(word.to_bytes(len(rows[0]), "little"))
    return b"".join(out)


class Folder:
    """config, generation, tokenizer: what is written as JSON; others: {file name: object or text}; tensors: {name: (dtype,
    shape, bytes)}."""

    def __init__(self, path, inverse=False, master=False):
        with open(path, "rb") as file:
            model = Gguf(file.read())
        keys = {name.decode(): (kind, data) for name, kind, data in model.keys}
        number = {name: struct.unpack_from("<" + {4: "I", 6: "f", 7: "B"}[kind], data)[0]
                  for name, (kind, data) in keys.items() if kind in (4, 6, 7)}
        get = lambda name: number["bitnet-b1.58." + name]  # noqa: E731
        self.others = {}
        self.generation = {"bos_token_id": number["tokenizer.ggml.bos_token_id"], "do_sample": True,
                           "eos_token_id": [number["tokenizer.ggml.eos_token_id"]], "temperature": 0.6}
        self.config = {
            "architectures": ["BitNetForCausalLM"], "model_type": "bitnet", "hidden_size": get("embedding_length"),
            "intermediate_size": get("feed_forward_length"), "num_hidden_layers": get("block_count"),
            "num_attention_heads": get("attention.head_count"), "num_key_value_heads": get("attention.head_count_kv"),
            "vocab_size": get("vocab_size"), "max_position_embeddings": get("context_length"),
            "rms_norm_eps": round(get("attention.layer_norm_rms_epsilon"), 9), "rope_theta": get("rope.freq_base"),
            "hidden_act": "relu2", "tie_word_embeddings": True, "torch_dtype": "bfloat16",
            "transformers_version": "4.52.0",
            "quantization_config": {"quant_method": "bitnet", "modules_to_not_convert": None}}
        if not inverse:
            self.config["quantization_config"]["linear_class"] = "autobitlinear"
            self.config["quantization_config"]["quantization_mode"] = "online" if master else "offline"
        self.tokenizer = self.make_tokenizer(keys, number)
        self.tensors = {}
        for tensor in model.tensors:
            self.add(tensor, inverse, master)

    @staticmethod
    def make_tokenizer(keys, number):
        assert keys["tokenizer.ggml.tokens"][0] == ARR and keys["tokenizer.ggml.model"][0] == STR
        tokens, merges = texts(keys["tokenizer.ggml.tokens"][1]), texts(keys["tokenizer.ggml.merges"][1])
        types = struct.unpack_from(f"<{len(tokens)}i", keys["tokenizer.ggml.token_type"][1], 12)
        bos = number["tokenizer.ggml.bos_token_id"]
        name = tokens[bos]
        return {
            "version": "1.0",
            "added_tokens": [{"id": i, "content": token, "special": True} for i, token in enumerate(tokens) if types[i] == 3],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
            "post_processor": {"type": "Sequence", "processors": [
                {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
                {"type": "TemplateProcessing", "single": [
                    {"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                 "pair": [], "special_tokens": {name: {"id": name, "ids": [bos], "tokens": [name]}}}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {token: i for i, token in enumerate(tokens) if types[i] == 1},
                      "merges": [merge.split(" ") for merge in merges]}}

    def add(self, tensor, inverse, master):
        name = tensor.name.decode()
        plain = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}.get(name)
        if not plain:
            _, layer, part, _ = name.split(".")
            plain = f"model.layers.{layer}.{NAMES[part]}.weight"
        if tensor.kind == 0:
            values = struct.unpack(f"<{len(tensor.data) // 4}f", tensor.data)
            self.tensors[plain] = "BF16", tensor.dims, struct.pack(f"<{len(values)}H", *map(bf16, values))
        elif tensor.kind == 1:
            self.tensors[plain] = "F16", tensor.dims[::-1], tensor.data
        else:
            cols, rows = tensor.dims
            (scale,) = struct.unpack_from("<f", tensor.data, rows * cols // 4)
            matrix = codes(tensor.data, rows, cols)
            if master:
                table = [struct.pack("<H", bf16(scale * (code - 1))) for code in range(3)]
                data = b"".join(b"".join(map(table.__getitem__, row)) for row in matrix)
                self.tensors[plain] = "BF16", [rows, cols], data
                return
            self.tensors[plain] = "U8", [rows // 4, cols], packed(matrix)
            exact = struct.pack("<f", 1 / scale if inverse else scale)
            self.tensors[plain + "_scale"] = "F32", [1], exact

    def copy(self):
        return copy.deepcopy(self)

    def header(self, names):
        at, entries = 0, {"__metadata__": {"format": "pt"}}
        for name in names:
            dtype, shape, data = self.tensors[name]
            entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
            at += len(data)
        return json.dumps(entries).encode()

    def write_shard(self, path, names):
        header = self.header(names)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for name in names:
                file.write(self.tensors[name][2])

    def save(self, folder, shards=1):
        os.makedirs(folder, exist_ok=True)
        for name, value in {"config.json": self.config, "generation_config.json": self.generation,
                            "tokenizer.json": self.tokenizer, **self.others}.items():
            if value is None:
                continue
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(value if isinstance(value, str) else json.dumps(value))
        names = list(self.tensors)
        if shards == 1:
            self.write_shard(os.path.join(folder, "model.safetensors"), names)
            return folder
        weight_map = {}
        for i in range(shards):
            file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            self.write_shard(os.path.join(folder, file), names[i::shards])
            weight_map.update({name: file for name in names[i::shards]})
        with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
            json.dump({"metadata": {"total_size": 0}, "weight_map": weight_map}, file)
        return folder
