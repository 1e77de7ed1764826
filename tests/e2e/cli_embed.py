"""bitnet-run --embed: embeddings against those of Hugging Face transformers, as text and JSON."""
from cli import *  # noqa: F403

FAMILIES = os.path.join(DATA, "families")
needs_pcre2 = unittest.skipUnless(HAVE_PCRE2, "built without PCRE2")
MODEL_OF_EMBEDDINGS = os.path.join(FAMILIES, "qwen3-embedding.gguf")


def facts(name):
    with open(os.path.join(FAMILIES, "families.json"), encoding="utf-8") as file:
        return json.load(file)[name]


def prompt(name):
    """Text that gives the golden ids: tokens 0 to 255 are bytes, the others control tokens."""
    return b"".join(bytes([i]) if i < 256 else b"<|%d|>" % (i - 256) for i in facts(name)["ids"])


class Embed(unittest.TestCase):
    @needs_pcre2
    def test_golden(self):
        with open(os.path.join(FAMILIES, "qwen3-embedding.f32"), "rb") as file:
            data = file.read()
        golden = struct.unpack("<%df" % (len(data) // 4), data)
        text = write("text", prompt("qwen3-embedding"))
        result = call(RUN, "-m", MODEL_OF_EMBEDDINGS, "--embed", "-f", text)
        self.assertEqual(result.code, 0, result.err)
        vector = [float(number) for number in result.text.split()]
        self.assertEqual(len(vector), len(golden))
        self.assertLess(max(abs(a - b) for a, b in zip(vector, golden)), 1e-5)
        self.assertAlmostEqual(sum(a * a for a in vector), 1, delta=1e-6)

    @needs_json
    def test_json_of_any_model(self):
        made = run("-p", "A cat", "--embed", "--json").json
        self.assertEqual((made["schema"], made["tokens"]), ("bitnet-embedding/1", 3))
        self.assertAlmostEqual(sum(a * a for a in made["embedding"]), 1, delta=1e-6)
        lines = run("-p", "A cat", "--embed").text
        self.assertEqual([float(a) for a in lines.split()], made["embedding"])

    @needs_pcre2
    def test_no_logits_of_an_embedding_model(self):
        result = call(RUN, "-m", MODEL_OF_EMBEDDINGS, "-p", "a")
        self.assertEqual(result.code, 3, result.err)
        self.assertIn("--embed", result.err)

    def test_refused(self):
        self.assertEqual(run("--embed", "-cnv").code, 2)


main()
