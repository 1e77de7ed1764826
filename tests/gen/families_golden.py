"""Tiny random models of every family, with what Hugging Face transformers computes from them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers==5.24.0 gguf==0.19.0
    TORCHDYNAMO_DISABLE=1 /tmp/venv/bin/python tests/gen/families_golden.py [NAME...]

writes tests/data/families/NAME.gguf, NAME.f32 and families.json. NAME.f32 holds the logits of every position, f32
[n][n_vocab], or for an embedding model the vector, f32 [n_embd]. Nothing of this project is used: the GGUF files are written
with the package gguf, the numbers are those of transformers' own models and of its AutoBitLinear.

K and V are rounded to f16, as this project stores them. The seed is the first one with which a float32 run, a float64 run and
six float64 runs with embeddings that are a little off agree to 1e-3: so no int8 value lies so near the middle between two
others that the order of a sum decides it.
"""
import json
import pathlib
import sys

import gguf
import numpy as np
import torch
import transformers
from torch import nn
from transformers.integrations.bitnet import AutoBitLinear

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "families"
I2_S, Q2_0, PQ2_0, PTQ1_0 = 36, 42, 142, 143
BLOCK = 64  # of the rotation
N_VOCAB, N_TOKENS = 288, 24
NOISE = {"gemma3": 2.0**-19}  # many norms even noise out
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class HalfCache(transformers.DynamicCache):
    """K and V as they are stored: rounded to f16."""

    def update(self, key_states, value_states, *args, **kwargs):
        return super().update(key_states.half().to(key_states.dtype), value_states.half().to(value_states.dtype), *args,
                              **kwargs)


def common(**more):
    base = dict(vocab_size=N_VOCAB, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=32, max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1,
                eos_token_id=2, pad_token_id=0, attn_implementation="eager", tie_word_embeddings=True)
    base.update(more)
    return base


def rope(theta, **scaling):
    return {"rope_parameters": {"rope_theta": theta, "rope_type": scaling.pop("rope_type", "default"), **scaling}}


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
GEMMA = dict(num_hidden_layers=6, intermediate_size=128, num_attention_heads=2, num_key_value_heads=1, head_dim=64,
             rms_norm_eps=1e-6, query_pre_attn_scalar=64, sliding_window=8, max_position_embeddings=64,
             rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                              "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}},
             layer_types=["sliding_attention"] * 5 + ["full_attention"])

# name: architecture, int8 activations, norms of inputs, transformers' model and its configuration
CASES = {
    "bitnet": ("bitnet", True, False, "BitNet", common(hidden_act="silu", **rope(1e4))),
    "bitnet-25": ("bitnet-25", True, False, "BitNet", common(hidden_act="relu2", tie_word_embeddings=False, **rope(5e5))),
    "bitnet-b1.58": ("bitnet-b1.58", True, False, "BitNet", common(hidden_act="relu2", **rope(5e5))),
    "llama": ("llama", True, False, "Llama", common(tie_word_embeddings=False, **rope(1000042.0))),
    "llama3-rope": ("llama", True, False, "Llama", common(**rope(5e5, **LLAMA3))),
    "llama-linear": ("llama", True, False, "Llama", common(**rope(1e4, rope_type="linear", factor=2.0))),
    "trilm": ("llama", False, False, "Llama", common(tie_word_embeddings=False, num_key_value_heads=4, **rope(1e4))),
    "qwen3": ("qwen3", False, False, "Qwen3", common(head_dim=64, rms_norm_eps=1e-6, **rope(1e6))),
    "qwen3-q2_0": ("qwen3", False, False, "Qwen3", common(head_dim=64, rms_norm_eps=1e-6, **rope(1e6))),
    "qwen3-yarn": ("qwen3", False, False, "Qwen3", common(head_dim=64, rms_norm_eps=1e-6, **rope(1e6, **YARN))),
    "qwen3-hadamard": ("qwen3", False, False, "Qwen3", common(tie_word_embeddings=False, rms_norm_eps=1e-6, **rope(1e6))),
    "qwen3-embedding": ("qwen3", True, True, "Qwen3", common(head_dim=64, rms_norm_eps=1e-6, **rope(1e6))),
    "gemma3": ("gemma3", True, False, "Gemma3Text", common(**GEMMA)),
    "gemma3-embedding": ("gemma3", True, True, "Gemma3Text", common(**GEMMA)),
}
CONFIGS = {"BitNet": "BitNetConfig", "Llama": "LlamaConfig", "Qwen3": "Qwen3Config", "Gemma3Text": "Gemma3TextConfig"}
MODELS = {"BitNet": "BitNetForCausalLM", "Llama": "LlamaForCausalLM", "Qwen3": "Qwen3ForCausalLM",
          "Gemma3Text": "Gemma3ForCausalLM"}


def hadamard(n):
    """Sylvester's matrix, from its definition: the parity of the bits that row and column share."""
    index = np.arange(n)
    parity = np.array([[bin(i & j).count("1") & 1 for j in index] for i in index])
    return torch.tensor(np.where(parity, -1.0, 1.0) / np.sqrt(n))


class Rotation:
    """Prism's: x' = H(s * x) in front of a folded matrix, h = s * H(z) behind a latent embedding."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.signs = {width: torch.tensor(rng.choice([-1.0, 1.0], width)) for width in (128, 256)}

    def blocks(self, x):
        return (x.unflatten(-1, (-1, BLOCK)) @ hadamard(BLOCK).to(x.dtype)).flatten(-2)

    def forward(self, x):
        return self.blocks(x * self.signs[x.shape[-1]].to(x.dtype))

    def inverse(self, z):
        return self.blocks(z) * self.signs[z.shape[-1]].to(z.dtype)


class Folded(nn.Module):
    def __init__(self, rotation, linear):
        super().__init__()
        self.rotation, self.linear = rotation, linear
        self.weight = linear.weight

    def forward(self, x):
        return self.linear(self.rotation.forward(x))


class Latent(nn.Module):
    def __init__(self, rotation, embedding):
        super().__init__()
        self.rotation, self.embedding = rotation, embedding
        self.weight = embedding.weight

    def forward(self, ids):
        return self.rotation.inverse(self.embedding(ids))


def projections(model):
    for layer in model.model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name in PROJECTIONS:
                if hasattr(part, name):
                    yield part, name


def build(case, seed, groups, rotation=None):
    """The model with random ternary matrices; trits and scales by module."""
    _, int8, inputs, kind, config = case
    torch.manual_seed(seed)
    config = getattr(transformers, CONFIGS[kind])(**config)
    model = getattr(transformers, MODELS[kind])(config).eval()
    ternary = {}
    for part, name in list(projections(model)):
        old = getattr(part, name)
        rows, cols = old.out_features, old.in_features
        trits = torch.randint(-1, 2, (rows, cols)).float()
        scale = float(np.float32((0.7 + 0.6 * torch.rand(1).item()) / np.sqrt(cols)))
        if groups:
            scale = (scale * (0.5 + torch.rand(rows, cols // groups))).half().float()
            new = nn.Linear(cols, rows, bias=False)
            new.weight.data = trits * scale.repeat_interleave(groups, 1)
            new = Folded(rotation, new) if rotation else new
        elif int8:
            new = AutoBitLinear(cols, rows, bias=False, use_rms_norm=inputs, rms_norm_eps=config.rms_norm_eps)
            new.weight.data = trits.clone()
            new.weight_scale = torch.tensor([scale])
        else:
            new = nn.Linear(cols, rows, bias=False)
            new.weight.data = trits * scale
        setattr(part, name, new)
        ternary[(part, name)] = (trits.numpy().astype(np.int8), scale)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            offset = 0.0 if kind == "Gemma3Text" and ".rms_norm." not in name else 1.0
            parameter.data = (offset + 0.2 * torch.randn_like(parameter)).float()
        elif "embed_tokens" in name or "lm_head" in name:
            small = 1 / np.sqrt(config.hidden_size) if kind == "Gemma3Text" else 1.0
            parameter.data = (small * torch.randn_like(parameter)).half().float()
    if rotation:
        model.model.embed_tokens = Latent(rotation, model.model.embed_tokens)
        model.lm_head = Folded(rotation, model.lm_head)
    return model, ternary


def run(case, model, ids):
    with torch.no_grad():
        if case[2]:
            hidden = model.model(ids, past_key_values=HalfCache(), use_cache=True).last_hidden_state[0, -1]
            return (hidden / hidden.norm()).double().numpy()
        return model(ids, past_key_values=HalfCache(), use_cache=True).logits[0].double().numpy()


def pack(trits, scale):
    """I2_S, 128/32."""
    codes = (trits + 1).astype(np.uint8).reshape(-1, 4, 32)
    data = (codes[:, 0] << 6) | (codes[:, 1] << 4) | (codes[:, 2] << 2) | codes[:, 3]
    tail = np.concatenate([np.frombuffer(np.float32(scale).tobytes(), np.uint8), np.zeros(28, np.uint8)])
    return np.concatenate([data.reshape(-1), tail]).view(np.int8)


def pack_groups(trits, scales, group=64):
    """Q2_0, and PQ2_0 with groups of 128: a scale in f16, then codes from the low bits up."""
    codes = (trits + 1).astype(np.uint8).reshape(-1, group // 4, 4)
    data = codes[:, :, 0] | (codes[:, :, 1] << 2) | (codes[:, :, 2] << 4) | (codes[:, :, 3] << 6)
    scales = scales.numpy().astype(np.float16).reshape(-1, 1).view(np.uint8)
    return np.concatenate([scales, data], axis=1).reshape(-1).view(np.int8)


def pack_ptq1_0(trits, scales):
    """PTQ1_0: of 128 weights 16 + 8 bytes of five digits in base 3, 2 of four, the scale in f16. The first digits of a run of
    bytes come first."""
    codes = (trits + 1).astype(np.int64).reshape(-1, 128)
    parts = []
    for start, n, digits in ((0, 16, 5), (80, 8, 5), (120, 2, 4)):
        run = codes[:, start:start + n * digits].reshape(-1, digits, n)
        number = sum(run[:, i] * 3**(4 - i) for i in range(digits))
        parts.append(((number * 256 + 242) // 243).astype(np.uint8))
    parts.append(scales.numpy().astype(np.float16).reshape(-1, 1).view(np.uint8))
    return np.concatenate(parts, axis=1).reshape(-1).view(np.int8)


def permuted(trits, heads):
    """From halves to pairs, as converters of Llama models do."""
    rows, cols = trits.shape
    return trits.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


NORMS = {"input_layernorm": "attn_norm", "self_attn.attn_sub_norm": "attn_sub_norm", "mlp.ffn_sub_norm": "ffn_sub_norm",
         "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
MATRICES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
            "up_proj": "ffn_up", "down_proj": "ffn_down"}


def norm_name(name, gemma):
    if name.endswith(".rms_norm.weight"):
        return MATRICES[name.split(".")[-3]] + "_norm_in"
    name = name.removesuffix(".weight")
    if gemma:
        return {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
                "post_feedforward_layernorm": "post_ffw_norm"}.get(name) or NORMS[name]
    return "ffn_norm" if name == "post_attention_layernorm" else NORMS[name]


def add_vocabulary(writer, name, arch):
    if arch == "gemma3":
        tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + ["<0x%02X>" % byte for byte in range(256)]
        types = [3, 3, 3, 2] + [6] * 256
        tokens += ["t%d" % i for i in range(N_VOCAB - len(tokens))]
        types += [1] * (N_VOCAB - len(types))
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([-float(i) for i in range(N_VOCAB)])
        writer.add_token_types(types)
        writer.add_add_space_prefix(False)
        return
    table, other = [], 0x100
    for byte in range(256):
        if 0x21 <= byte <= 0x7e or 0xa1 <= byte <= 0xac or byte >= 0xae:
            table.append(chr(byte))
        else:
            table.append(chr(other))
            other += 1
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre({"llama": "llama-bpe", "qwen3": "qwen2"}.get(arch, "llama-bpe") if name != "trilm" else "olmo")
    writer.add_token_list(table + ["<|%d|>" % i for i in range(N_VOCAB - 256)])
    writer.add_token_types([1] * 256 + [3] * (N_VOCAB - 256))
    writer.add_token_merges([])


def add_rope(writer, arch, config):
    parameters = config.rope_parameters
    if arch == "gemma3":
        writer.add_rope_freq_base(parameters["full_attention"]["rope_theta"])
        writer.add_sliding_window(config.sliding_window)
        return
    writer.add_rope_freq_base(parameters["rope_theta"])
    if parameters["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(parameters["rope_type"]))
        writer.add_rope_scaling_factor(parameters["factor"])
    if parameters["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(parameters["original_max_position_embeddings"])


def llama3_divisors(parameters, dim):
    """As convert_hf_to_gguf.py makes rope_freqs.weight, from the definition in Llama 3.1's own code."""
    frequencies = 1.0 / parameters["rope_theta"] ** (np.arange(0, dim, 2) / dim)
    low = parameters["original_max_position_embeddings"] / parameters["low_freq_factor"]
    high = parameters["original_max_position_embeddings"] / parameters["high_freq_factor"]
    factors = []
    for frequency in frequencies:
        wave = 2 * np.pi / frequency
        if wave < high:
            factors.append(1.0)
        elif wave > low:
            factors.append(parameters["factor"])
        else:
            smooth = (parameters["original_max_position_embeddings"] / wave - parameters["low_freq_factor"]) / (
                parameters["high_freq_factor"] - parameters["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / parameters["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def add_rotation(writer, rotation, layers):
    """The keys, with the types that Prism's converter gives them."""
    integers = dict(vtype=gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.INT32)
    writer.add_uint32("prism.hadamard.version", 1)
    writer.add_uint32("prism.hadamard.block_size", BLOCK)
    writer.add_string("prism.hadamard.transform", "normalized-sylvester-walsh-hadamard")
    writer.add_string("prism.hadamard.axis", "input-last-dimension")
    writer.add_string("prism.hadamard.sign_mode", "explicit")
    writer.add_key_value("prism.hadamard.sign_widths", list(rotation.signs), **integers)
    writer.add_key_value("prism.hadamard.sign_values", [int(s) for v in rotation.signs.values() for s in v], **integers)
    names = ["blk.%d.%s.weight" % (i, name) for i in range(layers) for name in MATRICES.values()]
    writer.add_array("prism.hadamard.weight_names", names + ["output.weight"])
    writer.add_array("prism.hadamard.inverse_weight_names", ["token_embd.weight"])
    writer.add_bool("prism.hadamard.gdn_v_grouped", False)


def write(path, name, case, model, ternary, rotation):
    arch, _, inputs, _, _ = case
    config = model.config
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name("random " + name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(N_VOCAB)
    if inputs:
        writer.add_pooling_type(gguf.PoolingType.LAST)
    add_rope(writer, arch, config)
    add_vocabulary(writer, name, arch)
    if rotation:
        add_rotation(writer, rotation, config.num_hidden_layers)
    writer.add_tensor("token_embd.weight", model.model.embed_tokens.weight.detach().numpy().astype(np.float16))
    if not config.tie_word_embeddings:
        writer.add_tensor("output.weight", model.lm_head.weight.detach().numpy().astype(np.float16))
    if arch == "llama" and config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(config.rope_parameters, config.head_dim))
    gemma = arch == "gemma3"

    def norm(tensor, plain):
        return tensor.detach().numpy().astype(np.float32) + np.float32(1.0 if gemma and not plain else 0.0)

    writer.add_tensor("output_norm.weight", norm(model.model.norm.weight, False))
    for i, layer in enumerate(model.model.layers):
        for key, parameter in layer.named_parameters():
            if "norm" in key:
                plain = ".rms_norm." in key
                value = norm(parameter, plain)
                if plain: # the published files have those in half precision
                    value = value.astype(np.float16)
                writer.add_tensor("blk.%d.%s.weight" % (i, norm_name(key, gemma)), value)
        for part in (layer.self_attn, layer.mlp):
            for key in PROJECTIONS:
                if not hasattr(part, key):
                    continue
                trits, scale = ternary[(part, key)]
                if arch == "llama" and key in ("q_proj", "k_proj"):
                    trits = permuted(trits, config.num_attention_heads if key == "q_proj" else config.num_key_value_heads)
                grouped = torch.is_tensor(scale)
                kind = I2_S if not grouped else Q2_0 if not rotation else PQ2_0 if part is layer.mlp else PTQ1_0
                data = {I2_S: lambda: pack(trits, scale), Q2_0: lambda: pack_groups(trits, scale),
                        PQ2_0: lambda: pack_groups(trits, scale, 128), PTQ1_0: lambda: pack_ptq1_0(trits, scale)}[kind]()
                writer.add_tensor("blk.%d.%s.weight" % (i, MATRICES[key]), data, raw_shape=trits.shape, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def halve_norms(model):
    """Norms of inputs are stored in f16."""
    for name, parameter in model.named_parameters():
        if ".rms_norm." in name:
            parameter.data = parameter.data.half().float()


def make(name, case):
    ids = torch.tensor([[int(x) for x in np.random.default_rng(7).integers(0, N_VOCAB, N_TOKENS)]])
    for seed in range(1, 1000):
        rotation = Rotation(seed) if name.endswith("hadamard") else None
        groups = 128 if rotation else 64 if name.endswith("q2_0") else 0
        model, ternary = build(case, seed, groups, rotation)
        halve_norms(model)
        single = run(case, model, ids)
        double = run(case, model.double(), ids)
        flips = float(np.abs(single - double).max())
        table = model.model.embed_tokens.weight
        exact = table.data.clone()
        for _ in range(6 if case[1] else 0):
            table.data = exact * (1 + torch.randn_like(exact) * NOISE.get(name, 2.0**-22))
            flips = max(flips, float(np.abs(run(case, model, ids) - double).max()))
        table.data = exact
        if flips <= 1e-3 or not case[1]:
            break
    else:
        raise SystemExit(name + ": no seed without flips")
    write(DATA / (name + ".gguf"), name, case, model.float(), ternary, rotation)
    double.astype(np.float32).tofile(DATA / (name + ".f32"))
    print("%-18s seed %3d, f32 against f64 %.2g, largest %.3g" % (name, seed, flips, np.abs(double).max()))
    return {"architecture": case[0], "embedding": case[2], "planes": 1 if case[1] else 2, "seed": seed,
            "f32_error": flips, "ids": ids[0].tolist()}


def main():
    DATA.mkdir(exist_ok=True)
    index = DATA / "families.json"
    facts = json.loads(index.read_text()) if index.exists() else {}
    for name in sys.argv[1:] or CASES:
        facts[name] = make(name, CASES[name])
    index.write_text(json.dumps({name: facts[name] for name in CASES if name in facts}, indent=1) + "\n")


main()
