"""Small tokenizer.json files of every kind that is read, with ids by Hugging Face tokenizers.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf
    /tmp/venv/bin/python tests/gen/hf_tokenizers_golden.py

writes tests/data/tokenizer/hf/NAME/tokenizer.json and config.json, and cases.txt: NAME, text in hexadecimal, ids. Special and
added tokens in the texts are recognised, and what the post-processor adds is added. The vocabularies are trained on the
held-out stories; those of SentencePiece by SentencePiece, whose merges are then listed as transformers' converters do it.

It also prints how often SentencePiece itself gives other ids than the file made from its model, for texts without added tokens:
0 for those that prepend one space.
"""
import io
import json
import pathlib
import random
import shutil

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TESTS = pathlib.Path(__file__).resolve().parent.parent
DATA = TESTS / "data" / "tokenizer" / "hf"
MARK = "\u2581"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
STORIES = [line for line in (TESTS / "data" / "stories" / "heldout.txt").read_text().split("\n") if line.strip()]
HAND = ["", " ", "  ", "a", " a", "a ", "  two  spaces  ", "tab\tnew\nline\r\n\n", "don't, won't!", "1234567890 3.14",
        "\u00c4pfel \u00fc\u00df \u00e9e\u0301 \u1e9b\u0323", "\u4f60\u597d", "\U0001f600\U0001f680 ok", "a\u2581b \u2581 c",
        "\u2581x", "<s> </s>", "x<s>y", "<s>the", "the<u>the <u> the", "<u>the", "@@@ @@", "aaaaaaaaaaaa", "ing ing",
        "Once upon a time, there was a little girl named Lily.", "the\n\n\nend", "a    b     c", "e\u0301<s>e\u0301 n\u0303",
        "<\u0338u>", "1\u00b2\u0663 45", "\u1100\u1161\u11a8", "<unk>", "\u212b \u0958"]


def spm(**options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(STORIES), model_writer=out, normalization_rule_name="identity", character_coverage=0.995,
        minloglevel=2, num_threads=1, hard_vocab_limit=False, vocab_size=420, remove_extra_whitespaces=False, **options)
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(out.getvalue())
    return model


def merges_of(vocab, scores):
    """Every pair of pieces that makes a piece; the higher the piece's score the earlier."""
    found = []
    for piece, score in scores.items():
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        found += [(score, pair) for pair in sorted(pairs, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))]
    return [pair for _, pair in sorted(found, key=lambda entry: -entry[0])]


def bpe(model, normalizer, pre, user=()):
    vocab = {piece.piece: i for i, piece in enumerate(model.pieces)}
    scores = {piece.piece: piece.score for piece in model.pieces}
    tokenizer = Tokenizer(models.BPE(vocab, merges_of(vocab, scores), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    return finish(tokenizer, normalizer, pre, user)


def unigram(model, pre, byte_fallback):
    vocab = [(piece.piece, piece.score) for piece in model.pieces]
    return finish(Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=byte_fallback)), None, pre, ())


def finish(tokenizer, normalizer, pre, user):
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre
    tokenizer.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in ("<unk>", "<s>", "</s>")])
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in user])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    return tokenizer


def byte_level(pattern, normalizer, whole=False, last=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole))
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    tokenizer.pre_tokenizer = bytes_only if pattern is None else pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), bytes_only])
    tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=600, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(STORIES + HAND * 3, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in ("<s>", "</s>")])
    tokenizer.add_tokens([AddedToken("    ", normalized=True, special=False), AddedToken("<u>", normalized=False)])
    s = tokenizer.token_to_id("</s>" if last else "<s>")
    template = processors.TemplateProcessing(single="$A </s>" if last else "<s> $A", pair="$A $B",
                                             special_tokens=[("</s>" if last else "<s>", s)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def tokenizers():
    plain = spm(model_type="bpe", byte_fallback=True)
    whole = spm(model_type="bpe", byte_fallback=True, add_dummy_prefix=False,
                user_defined_symbols=[MARK * n for n in range(2, 8)] + ["\n\n", "\n"])
    pieces = spm(model_type="unigram", byte_fallback=False)
    bytes_too = spm(model_type="unigram", byte_fallback=True, add_dummy_prefix=False)
    user = ["<u>", "@@"]
    replace = normalizers.Replace(" ", MARK)

    def metaspace(scheme, split=False):
        return pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme=scheme, split=split)

    prepend = normalizers.Sequence([normalizers.Prepend(MARK), replace])
    yield "llama-prepend", plain, bpe(plain, prepend, None, user)
    yield "llama-first", None, bpe(plain, None, metaspace("first"), user)
    yield "llama-always", None, bpe(plain, None, metaspace("always"), user)
    yield "llama-split", None, bpe(plain, None, metaspace("always", True), user)
    yield "gemma", whole, bpe(whole, replace, pre_tokenizers.Split(" ", "merged_with_previous"),
                              [p.piece for p in whole.pieces if p.type == 4])
    yield "unigram", None, unigram(pieces, metaspace("always"), False)
    yield "unigram-bytes", bytes_too, unigram(bytes_too, metaspace("never"), True)
    yield "llama3", None, byte_level(LLAMA3, None, whole=True)
    yield "llama3-merges", None, byte_level(LLAMA3, None)
    yield "qwen2", None, byte_level(QWEN2, normalizers.NFC(), last=True)
    yield "neox", None, byte_level(None, normalizers.NFC())


def random_text(rng):
    parts = ["the", " The", "ing", " ", "  ", "\n", "\n\n", "\t", ".", "'s", "123", "\u00e9", "e\u0301", "\u4e2d", "\U0001f600", " upon",
             "z", "q", MARK, "Lily", " girl", "ed", "er", "-", "<u>", "@@", "<s>", "</s>", "\u0323", "    ", "AB", "\u00a0"]
    return "".join(rng.choice(parts) for _ in range(rng.randint(1, 14)))


def main():
    shutil.rmtree(DATA, ignore_errors=True)
    rng = random.Random(3)
    texts = HAND + [random_text(rng) for _ in range(120)]
    lines = []
    for name, model, tokenizer in tokenizers():
        (DATA / name).mkdir(parents=True)
        tokenizer.save(str(DATA / name / "tokenizer.json"), pretty=False)
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": tokenizer.get_vocab_size(),
                  "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2,
                  "max_position_embeddings": 64, "hidden_act": "silu", "eos_token_id": 2}
        (DATA / name / "config.json").write_text(json.dumps(config) + "\n")
        for text in texts:
            # Runs of spaces are user-defined tokens there, which are looked for before U+2581 becomes a space: as in
            # llama.cpp, and unlike here.
            if name == "gemma" and (" " + MARK in text or MARK + " " in text):
                continue
            lines.append("%s\t%s\t%s\n" % (name, text.encode().hex(), " ".join(map(str, tokenizer.encode(text).ids))))
        if model:
            sp = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
            alike = [text for text in texts if not any(token in text for token in ("<", "@@"))]
            differ = [text for text in alike if sp.encode(text) != tokenizer.encode(text, add_special_tokens=False).ids]
            print("%s: SentencePiece differs for %d of %d texts" % (name, len(differ), len(alike)), differ[:2])
    (DATA / "cases.txt").write_text("".join(lines))
    print(len(lines), "cases")


main()
