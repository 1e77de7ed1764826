"""Seeds of the targets for folders of Hugging Face: hf_seed.py header|folder|pieces FILE."""
import json
import sys

HEADER = {"__metadata__": {"format": "pt"},
          "model.norm.weight": {"dtype": "BF16", "shape": [256], "data_offsets": [0, 512]},
          "model.layers.0.self_attn.q_proj.weight": {"dtype": "U8", "shape": [64, 128], "data_offsets": [512, 8704]},
          "model.layers.0.self_attn.q_proj.weight_scale": {"dtype": "F32", "shape": [1], "data_offsets": [8704, 8708]}}
CONFIG = {"architectures": ["BitNetForCausalLM"], "model_type": "bitnet", "hidden_size": 64, "intermediate_size": 128,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300, "head_dim": 16,
          "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "relu2",
          "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                           "original_max_position_embeddings": 32},
          "layer_types": ["full_attention", "full_attention"], "tie_word_embeddings": True, "bos_token_id": 258,
          "eos_token_id": [259, 258],
          "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}}


def alphabet():
    """GPT-2's characters for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b if b in plain else next(others)) for b in range(256)]


def tokenizer():
    letters = alphabet()
    return {"added_tokens": [{"id": 258, "content": "<s>", "special": True}, {"id": 259, "content": "</s>", "special": True}],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
            "post_processor": {"type": "TemplateProcessing",
                               "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                               "special_tokens": {"<s>": {"ids": [258]}}},
            "model": {"type": "BPE", "vocab": {text: i for i, text in enumerate([*letters, "he", "the"])},
                      "merges": ["h e", ["t", "he"]]}}


def pieces():
    """SentencePiece."""
    texts = ["<unk>", "<s>", "</s>", *("<0x%02X>" % byte for byte in range(256)), "\u2581", "a", "b", "ab", "\u2581ab"]
    prepend, replace = ({"type": "Prepend", "prepend": "\u2581"},
                        {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"})
    return {"added_tokens": [{"id": 1, "content": "<s>", "special": True}, {"id": 264, "content": "\u2581\u2581"}],
            "normalizer": {"type": "Sequence", "normalizers": [prepend, replace]},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}},
            "model": {"type": "BPE", "vocab": {text: i for i, text in enumerate(texts)}, "byte_fallback": True,
                      "unk_token": "<unk>", "merges": [["a", "b"], ["\u2581", "ab"]]}}


with open(sys.argv[2], "wb") as file:
    if sys.argv[1] == "header":
        file.write(json.dumps(HEADER).encode())
    else:
        text = tokenizer() if sys.argv[1] == "folder" else pieces()
        file.write(json.dumps(CONFIG).encode() + b"\0" + json.dumps(text).encode())
