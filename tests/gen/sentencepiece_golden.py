"""Golden ids by SentencePiece itself.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install sentencepiece==0.2.3 protobuf gguf==0.19.0
    /tmp/venv/bin/python tests/gen/sentencepiece_golden.py

trains three small vocabularies on the held-out stories and the texts below, writes them as tests/data/tokenizer/sp-*.gguf (with
the package gguf) and as folders tests/data/tokenizer/sp/*/ with the tokenizer.model itself, and tests/data/tokenizer/sentencepiece.txt:
vocabulary, text in hexadecimal, ids. The vocabulary llama-spm is that of llama-spm.gguf.xz, its pieces put into a SentencePiece model.
"""
import io
import json
import pathlib
import random

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

import gguf_keys

TESTS = pathlib.Path(__file__).resolve().parent.parent
DATA = TESTS / "data" / "tokenizer"
HAND = ["", " ", "  ", "a", " a", "a ", "  two  spaces  ", "tab\tnew\nline\r\n", "don't, won't!", "1234567890 3.14",
        "\u00c4pfel \u00fc\u00df \u00e9e\u0301", "\u4f60\u597d\uff0c\u4e16\u754c", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
        "\U0001f600\U0001f680 ok", "a\u2581b \u2581 c", "<s> </s> <unk> <0x41>", "\u00a0nbsp\u3000wide", "the the the", "aaaaaaaaaaaa",
        "ing ing", "Once upon a time, there was a little girl named Lily.", "\u0915\u094d\u0937 \u0e20\u0e32\u0e29\u0e32"]
# name: kind, options of the trainer
VOCABULARIES = {
    "sp-unigram": dict(model_type="unigram", byte_fallback=False, add_dummy_prefix=True, remove_extra_whitespaces=True),
    "sp-unigram-bytes": dict(model_type="unigram", byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False),
    "sp-bpe": dict(model_type="bpe", byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False),
}


def train(options):
    stories = (TESTS / "data" / "stories" / "heldout.txt").read_text().split("\n")
    text = [line for line in stories + HAND * 3 if line.strip()]
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=out, vocab_size=600, normalization_rule_name="identity",
        character_coverage=0.995, minloglevel=2, num_threads=1, hard_vocab_limit=False, **options)
    return out.getvalue()


def llama():
    keys = gguf_keys.keys(str(DATA / "llama-spm.gguf.xz"))
    model = sentencepiece_model_pb2.ModelProto()
    model.trainer_spec.model_type = 2
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = len(keys["tokenizer.ggml.tokens"])
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.escape_whitespaces = True
    for piece, score, kind in zip(keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.scores"],
                                  keys["tokenizer.ggml.token_type"]):
        model.pieces.add(piece=piece.decode(), score=score, type=kind)
    return model.SerializeToString()


def write(name, options, data):
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(data)
    writer = gguf.GGUFWriter(DATA / (name + ".gguf"), "llama")
    writer.add_tokenizer_model("t5" if options["model_type"] == "unigram" else "llama")
    writer.add_token_list([piece.piece for piece in model.pieces])
    writer.add_token_scores([piece.score for piece in model.pieces])
    writer.add_token_types([piece.type for piece in model.pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(options["add_dummy_prefix"])
    writer.add_remove_extra_whitespaces(options["remove_extra_whitespaces"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(name, data):
    """The model itself, with two tokens that it does not have: one of tokenizer_config.json, one that nothing names."""
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(data)
    folder = DATA / "sp" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(data)
    config = json.loads((DATA / "hf" / "unigram" / "config.json").read_text())
    config["vocab_size"] = len(model.pieces) + 2
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    if name == "sp-bpe":  # as older folders have them
        (folder / "added_tokens.json").write_text(json.dumps({"<pad>": len(model.pieces)}) + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>"}) + "\n")
    else:
        added = {str(len(model.pieces)): {"content": "<pad>", "special": True, "lstrip": False, "rstrip": False}}
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"add_bos_token": True, "pad_token": "<pad>", "added_tokens_decoder": added}) + "\n")


def random_text(rng):
    parts = ["the", " The", "ing", " ", "  ", "\n", "\t", ".", ",", "'s", "123", "\u00e9", "\u4e2d", "\U0001f600", "once", " upon",
             "z", "q", "\u2581", "Lily", " girl", "ed", "er", "ou", "-", "_", "<", ">", "\u00a0", "\u0301", "xyz", "AB"]
    return "".join(rng.choice(parts) for _ in range(rng.randint(1, 20)))


def main():
    models = {name: train(options) for name, options in VOCABULARIES.items()}
    for name, options in VOCABULARIES.items():
        write(name, options, models[name])
        write_folder(name, models[name])
    models["llama-spm"] = llama()
    rng = random.Random(1)
    texts = HAND + [random_text(rng) for _ in range(150)]
    lines = []
    for name, data in models.items():
        processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        for text in texts:
            ids = processor.encode(text, out_type=int)
            lines.append("%s\t%s\t%s\n" % (name, text.encode().hex(), " ".join(map(str, ids))))
    (DATA / "sentencepiece.txt").write_text("".join(lines))
    print(len(lines), "cases")


main()
