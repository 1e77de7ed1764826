"""Tiny random folders of Hugging Face, with the logits that transformers computes from them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers==5.24.0 numpy
    TORCHDYNAMO_DISABLE=1 /tmp/venv/bin/python tests/gen/hf_golden.py [NAME...]

writes tests/data/hf/NAME/ (config.json by transformers, tokenizer.json by tokenizers, model.safetensors by safetensors) and
NAME.f32, the logits of every position, f32 [n][vocab_size], or of an embedding model the vector, and folders.json. Nothing of this project is used.

The numbers are those of transformers' own models with its AutoBitLinear or BitLinear in place of the matrices, and packed
weights come from its pack_weights. K and V are rounded to f16, as this project stores them. The seed is the first one with which a
float32 run, a float64 run and six float64 runs with embeddings that are a little off agree to 1e-3: then no int8 value lies
so near the middle between two others that the order of a sum decides it.
"""
import json
import pathlib
import shutil
import sys

import numpy as np
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers.integrations.bitnet import AutoBitLinear, BitLinear, pack_weights

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "hf"
N_VOCAB, N_TOKENS = 288, 24
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class HalfCache(transformers.DynamicCache):
    """K and V as they are stored: rounded to f16."""

    def update(self, key_states, value_states, *args, **kwargs):
        return super().update(key_states.half().to(key_states.dtype), value_states.half().to(value_states.dtype), *args,
                              **kwargs)


def common(**more):
    base = dict(vocab_size=N_VOCAB, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=256,
                eos_token_id=257, pad_token_id=None, attn_implementation="eager", tie_word_embeddings=True,
                rope_parameters={"rope_theta": 1e4, "rope_type": "default"})
    base.update(more)
    return base


GEMMA = dict(num_hidden_layers=6, num_attention_heads=2, num_key_value_heads=1, head_dim=32, rms_norm_eps=1e-6,
             query_pre_attn_scalar=32, sliding_window=8, max_position_embeddings=64,
             rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                              "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}},
             layer_types=["sliding_attention"] * 5 + ["full_attention"])
LLAMA3 = dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
AUTO = {"quant_method": "bitnet", "linear_class": "autobitlinear"}

# name: how the weights are stored, transformers' class, its configuration, quantization_config
CASES = {
    "bitnet-master": ("online", "BitNet", common(hidden_act="relu2"), {**AUTO, "quantization_mode": "online"}),
    "bitnet-packed": ("auto", "BitNet", common(hidden_act="relu2"), {**AUTO, "quantization_mode": "offline"}),
    "llama-packed": ("legacy", "Llama", common(tie_word_embeddings=False, rope_parameters=LLAMA3), {"quant_method": "bitnet"}),
    "llama-ternary": ("floats", "Llama", common(), None),
    "qwen3-ternary": ("floats", "Qwen3", common(head_dim=32, rms_norm_eps=1e-6), None),
    "qwen3-embedding": ("norms", "Qwen3", common(head_dim=32, rms_norm_eps=1e-6), None),
    "gemma3-embedding": ("norms", "Gemma3Text", common(**GEMMA), None),
    "gemma3-packed": ("auto", "Gemma3Text", common(**GEMMA), {**AUTO, "quantization_mode": "offline"}),
}
CONFIGS = {"BitNet": "BitNetConfig", "Llama": "LlamaConfig", "Qwen3": "Qwen3Config", "Gemma3Text": "Gemma3TextConfig"}
MODELS = {"BitNet": "BitNetForCausalLM", "Llama": "LlamaForCausalLM", "Qwen3": "Qwen3ForCausalLM",
          "Gemma3Text": "Gemma3ForCausalLM"}
HEADLESS = {"Qwen3": "Qwen3Model", "Gemma3Text": "Gemma3TextModel"}


def half(tensor):
    return tensor.bfloat16().float()


def linear(how, rows, cols):
    """A module in float32, and the tensors that a file has for it."""
    trits = torch.randint(-1, 2, (rows, cols)).float()
    scale = half((0.7 + 0.6 * torch.rand(1)) / np.sqrt(cols))
    if how == "norms":  # of embedding models, whose files call them .norm
        new = AutoBitLinear(cols, rows, bias=False, online_quant=True, use_rms_norm=True, rms_norm_eps=1e-6)
        new.weight.data = half(torch.randn(rows, cols) * scale)
        new.rms_norm.weight.data = half(1 + 0.2 * torch.randn(cols))
        return new, {"weight": new.weight.data.bfloat16(), "norm.weight": new.rms_norm.weight.data.bfloat16()}
    if how == "online":
        new = AutoBitLinear(cols, rows, bias=False, online_quant=True)
        new.weight.data = half(torch.randn(rows, cols) * scale)
        return new, {"weight": new.weight.data.bfloat16()}
    if how == "floats":
        new = nn.Linear(cols, rows, bias=False)
        new.weight.data = half(trits * scale)
        return new, {"weight": new.weight.data.bfloat16()}
    if how == "auto":
        new = AutoBitLinear(cols, rows, bias=False)
        new.weight.data = trits.clone()
        new.weight_scale = scale
        return new, {"weight": pack_weights(trits.clone()), "weight_scale": scale.bfloat16()}
    new = BitLinear(cols, rows, bias=False, dtype=torch.float32)
    new.weight = pack_weights(trits.clone())
    new.weight_scale = half(1 / scale)
    return new, {"weight": new.weight.clone(), "weight_scale": new.weight_scale.bfloat16()}


def build(case, seed):
    how, kind, config, _ = case
    torch.manual_seed(seed)
    model = getattr(transformers, MODELS[kind])(getattr(transformers, CONFIGS[kind])(**config)).eval()
    stored = {}
    for i, layer in enumerate(model.model.layers):
        for part, module in (("self_attn", layer.self_attn), ("mlp", layer.mlp)):
            for name in [name for name in PROJECTIONS if hasattr(module, name)]:
                old = getattr(module, name)
                new, tensors = linear(how, old.out_features, old.in_features)
                setattr(module, name, new)
                stored.update({f"model.layers.{i}.{part}.{name}.{key}": value for key, value in tensors.items()})
    for name, parameter in model.named_parameters():
        if ".rms_norm." in name:
            continue
        if "norm" in name:
            parameter.data = half((0.0 if kind == "Gemma3Text" else 1.0) + 0.2 * torch.randn_like(parameter))
        elif "embed_tokens" in name or "lm_head" in name:
            small = 1 / np.sqrt(64) if kind == "Gemma3Text" else 1.0
            parameter.data = half(small * torch.randn_like(parameter))
        else:
            continue
        if not (config["tie_word_embeddings"] and "lm_head" in name):
            stored[name] = parameter.data.bfloat16()
    if how == "norms":
        stored = {name.removeprefix("model."): value for name, value in stored.items()}
    return model, stored


def run(model, ids, embeds=False):
    with torch.no_grad():
        if embeds:
            hidden = model.model(ids, past_key_values=HalfCache(), use_cache=True).last_hidden_state[0, -1]
            return (hidden / hidden.norm()).double().numpy()
        return model(ids, past_key_values=HalfCache(), use_cache=True).logits[0].double().numpy()


def write_tokenizer(folder):
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def make(name, case):
    ids = torch.tensor([[int(x) for x in np.random.default_rng(7).integers(0, N_VOCAB, N_TOKENS)]])
    embeds = case[0] == "norms"
    for seed in range(1, 1000):
        model, stored = build(case, seed)
        single = run(model, ids, embeds)
        double = run(model.double(), ids, embeds)
        flips = float(np.abs(single - double).max())
        table = model.model.embed_tokens.weight
        exact = table.data.clone()
        for _ in range(0 if case[0] == "floats" else 6):
            table.data = exact * (1 + torch.randn_like(exact) * 2.0**-21)
            flips = max(flips, float(np.abs(run(model, ids, embeds) - double).max()))
        table.data = exact
        if flips <= 1e-3:
            break
    else:
        raise SystemExit(name + ": no seed without flips")
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.config.quantization_config = case[3]
    if case[3] is None:
        del model.config.quantization_config
    model.config.architectures = [HEADLESS[case[1]] if embeds else MODELS[case[1]]]
    (folder / "config.json").write_text(json.dumps(json.loads(model.config.to_json_string()), indent=1) + "\n")
    save_file({key: value.contiguous() for key, value in stored.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})
    write_tokenizer(folder)
    double.astype(np.float32).tofile(DATA / (name + ".f32"))
    print("%-16s seed %3d, f32 against f64 %.2g, largest %.3g" % (name, seed, flips, np.abs(double).max()))
    return {"ids": ids[0].tolist(), "embedding": embeds, "n_vocab": N_VOCAB, "planes": 2 if case[0] == "floats" else 1, "seed": seed, "f32_error": flips}


if __name__ == "__main__":
    index = DATA / "folders.json"
    old = json.loads(index.read_text()) if index.exists() else {}
    names = sys.argv[1:] or CASES
    facts = {name: make(name, CASES[name]) if name in names else old[name] for name in CASES}
    index.write_text(json.dumps(facts, indent=1) + "\n")
