"""bitnet-tokenize: ids, pieces, JSON, and any bytes there and back."""
import random

from cli import *  # noqa: F403


class Ids(unittest.TestCase):
    def test_golden(self):
        for text in golden():
            result = tokenize(stdin=text["text"].encode())
            self.assertEqual((result.code, result.err), (0, ""))
            self.assertEqual(result.text, " ".join(map(str, text["ids"])) + "\n")
            plain = tokenize("--no-bos", stdin=text["text"].encode()).text
            self.assertEqual(plain, " ".join(map(str, text["ids"][1:])) + "\n")

    def test_vocabulary_only(self):
        for name in ("llama-bpe", "gpt-2"):
            with open(os.path.join(DATA, "tokenizer", "texts.inp"), "rb") as file:
                texts = file.read().split(b"\n__ggml_vocab_test__\n")
            with open(os.path.join(DATA, "tokenizer", name + ".out"), encoding="ascii") as file:
                expected = file.read().split("\n")
            model = os.path.join(VOCAB, name + ".gguf")
            chosen = [i for i, text in enumerate(texts) if text][:6] + [len(texts) - 1]
            for i in chosen:
                result = call(TOKENIZE, "-m", model, "--no-bos", "--no-special", stdin=texts[i])
                self.assertEqual(result.text.split(), expected[i].split(), (name, texts[i]))

    def test_nothing(self):
        self.assertEqual(tokenize(stdin=b"").out, b"2032\n")
        self.assertEqual(tokenize("--no-bos", stdin=b"").out, b"\n")
        self.assertEqual(tokenize("--decode", stdin=b"").out, b"")

    def test_special(self):
        self.assertEqual(tokenize("--no-bos", stdin=b"<|eot_id|>").out, b"2036\n")
        self.assertGreater(len(tokenize("--no-bos", "--no-special", stdin=b"<|eot_id|>").text.split()), 3)
        self.assertEqual(tokenize("-d", stdin=b"2036").out, b"<|eot_id|>")

    def test_pieces(self):
        text = b"Hi\n\tb\\ \xff"
        rows = tokenize("--no-bos", "--pieces", stdin=text).text.splitlines()
        ids, pieces = zip(*(row.split("\t") for row in rows), strict=True)
        self.assertEqual(" ".join(ids), tokenize("--no-bos", stdin=text).text.strip())
        self.assertEqual("".join(pieces), r"Hi\n\tb\\ \xff")

    @needs_json
    def test_json(self):
        ids = [int(i) for i in tokenize(stdin=b"A dog\n").text.split()]
        self.assertEqual(tokenize("--json", stdin=b"A dog\n").json, ids)
        self.assertEqual([row["id"] for row in tokenize("--json", "--pieces", stdin=b"A dog\n").json], ids)
        self.assertEqual(tokenize("--json", "--no-bos", stdin=b"").json, [])
        self.assertEqual(tokenize("--decode", stdin=json.dumps(ids).encode()).out, b"A dog\n")


class ThereAndBack(unittest.TestCase):
    def test_any_bytes(self):
        source = random.Random(8)
        texts = [bytes(range(256)), b"\0", b"\xf0\x9f\x99", "né 日本 🙂\r\n".encode() * 50, b" " * 3000,
                 bytes(source.randrange(256) for _ in range(20000))]
        for text in texts:
            for args in ([], ["--no-bos"]):
                ids = tokenize("--no-special", *args, stdin=text)
                self.assertEqual(ids.code, 0, ids.err)
                self.assertEqual(tokenize("--decode", *args, stdin=ids.out).out, text)


    def test_pipe_that_does_not_block(self):
        text = b"Once upon a time. " * 20000
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with subprocess.Popen([TOKENIZE, "-m", MODEL], stdin=subprocess.PIPE, stdout=writer, env=environment()) as process:
            os.close(writer)
            process.stdin.write(text)
            process.stdin.close()
            with open(reader, "rb") as out:
                self.assertEqual(tokenize("--decode", stdin=out.read()).out, text)
            self.assertEqual(process.wait(60), 0)


class Refused(unittest.TestCase):
    def test_ids(self):
        for text in (b"2048", b"-1", b"x", b"1 2 99999999999", b"1.5", b"[1, 2", b"\0"):
            result = tokenize("--decode", stdin=text)
            self.assertEqual(result.code, 0 if text == b"[1, 2" else 2, text)

    def test_usage(self):
        for args in (["--decode", "--pieces"], ["--decode", "--json"], ["-p", "text"], ["--idz"], ["text"]):
            result = tokenize(*args)
            self.assertEqual((result.code, result.out), (2, b""), args)
        for model, code in (("/missing.gguf", 2), (DATA, 2), (write("no.gguf", b"no model"), 3)):
            self.assertEqual(call(TOKENIZE, "-m", model).code, code)


main()
