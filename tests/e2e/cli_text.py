"""What bitnet-run writes: golden text, JSON, log-probabilities, perplexity, whole characters, ends of a text."""
import math
import random

from cli import *  # noqa: F403

LONG = "Once upon a time, there was a little girl named Lily."
CHECKER = os.environ["BITNET_TEST_PERPLEXITY"]


def sure(text):
    """Golden tokens up to the first near tie."""
    return next((i for i, gap in enumerate(text["gaps"]) if gap < NEAR_TIE), len(text["gaps"]))


class Golden(unittest.TestCase):
    def test_greedy_text(self):
        compared = 0
        for text in golden():
            result = run("-p", text["text"], "--no-escape", "--no-display-prompt", "--greedy", "-n", sure(text))
            self.assertEqual(result.code, 0, result.err)
            made = result.text.removesuffix("\n")
            self.assertTrue(text["continuation"].startswith(made.rstrip("\ufffd")), made)
            compared += len(made)
        self.assertGreater(compared, 40)

    @needs_json
    def test_greedy_ids(self):
        for text in golden():
            made = run("-p", text["text"], "--no-escape", "--greedy", "-n", "64", "--json").json
            self.assertEqual(made["prompt_tokens"], len(text["ids"]))
            self.assertEqual(made["tokens"][:sure(text)], text["greedy"][:sure(text)])

    def test_same_text_however_it_is_computed(self):
        expected = run("-p", LONG, "-n", "12", "--seed", "5").out
        for args in (["-t", "1"], ["-t", "3"], ["-b", "3"], ["-ub", "1"], ["-ub", "7"], ["--isa", "scalar"],
                     ["--wait", "spin"], ["-c", "200"]):
            self.assertEqual(run("-p", LONG, "-n", "12", "--seed", "5", *args).out, expected, args)
        self.assertNotEqual(run("-p", LONG, "-n", "12", "--seed", "6").out, expected)

    def test_samplers_that_leave_one_token_are_greedy(self):
        expected = run("-p", LONG, "-n", "30", "--greedy").out
        for args in (["--temp", "0"], ["--top-k", "1"], ["--top-p", "0"], ["--min-p", "1"]):
            self.assertEqual(run("-p", LONG, "-n", "30", "--seed", "2", *args).out, expected, args)
        self.assertNotEqual(run("-p", LONG, "-n", "30", "--greedy", "--repeat-penalty", "2").out, expected)


class Ends(unittest.TestCase):
    def test_length(self):
        self.assertEqual(run("-p", "A", "-n", "0").out, b"A\n")
        self.assertIn("decode 0 tokens", run("-p", "A", "-n", "0").err)
        self.assertIn("decode 7 tokens", run("-p", "A", "-n", "7", "--ignore-eos").err)

    def test_context(self):
        result = run("-p", LONG, "-c", "20", "--ignore-eos")
        self.assertEqual(result.code, 0)
        self.assertIn("the context of 20 tokens is full", result.err)

    def test_stop_string(self):
        whole = run("-p", LONG, "-n", "40", "--greedy").text
        stop = whole[len(LONG) + 20:len(LONG) + 27]
        self.assertEqual(run("-p", LONG, "-n", "40", "--greedy", "--stop", "\x01", "-r", stop).text,
                         whole[:whole.index(stop)] + ("" if whole[whole.index(stop) - 1] == "\n" else "\n"))

    @needs_json
    def test_reasons(self):
        for args, stop in ((["-n", "3"], "length"), (["-n", "0"], "length"), (["-c", "17", "--ignore-eos"], "context"),
                           (["--stop", " "], "stop"), (["--greedy"], "eos")):
            made = run("-p", LONG, "--json", *args).json
            self.assertEqual(made["stop"], stop, args)
        self.assertNotIn(2033, run("-p", LONG, "--json", "--ignore-eos", "-c", "600").json["tokens"])

    def test_default_story_ends_by_itself(self):
        result = call(RUN, "-m", MODEL, "-s", "1")
        self.assertEqual(result.code, 0)
        self.assertTrue(result.text.startswith("Once") or result.text)


@needs_json
class Json(unittest.TestCase):
    def test_fields(self):
        result = run("-p", LONG, "-n", "5", "--seed", "11", "--json", "-t", "1", "--isa", "scalar")
        made = result.json
        self.assertEqual(result.out.count(b"\n"), 1)
        expected = {"schema": "bitnet-run/1", "prompt_tokens": 14, "stop": "length", "seed": 11, "device": "cpu",
                    "isa": "scalar", "threads": 1, "model": MODEL}
        self.assertEqual({key: made[key] for key in expected}, expected)
        self.assertEqual(len(made["tokens"]), 5)
        self.assertEqual(LONG + made["text"], run("-p", LONG, "-n", "5", "--seed", "11").text.rstrip("\n"))
        for key in ("prompt_tokens_per_second", "decode_tokens_per_second", "prompt_ms", "first_token_ms", "decode_ms",
                    "memory_bytes", "kv_bytes", "weights_ready_ms", "context"):
            self.assertGreater(made[key], 0, key)
        if made["memory_anonymous_bytes"] is not None:  # not in every sandbox's /proc
            self.assertGreater(made["memory_file_bytes"], 0)
            # The kernel's counters lag behind by some pages per thread.
            self.assertLess(made["memory_anonymous_bytes"] + made["memory_file_bytes"], made["memory_bytes"] * 1.5 + (1 << 22))
            self.assertGreater(made["memory_anonymous_bytes"], made["kv_bytes"])
            self.assertRegex(result.err, r"memory \d+ MiB \(\d+ anonymous, \d+ of files\)")
        self.assertIsNone(run("-p", LONG, "-n", "1", "--json").json["decode_tokens_per_second"])
        self.assertIn("tokens/s", result.err)
        self.assertEqual(made["cache_type"], "f16")
        small = run("-p", "A dog", "-n", "2", "--json", "--cache-type", "int8").json
        self.assertEqual((small["cache_type"], 2 * small["kv_bytes"] > made["kv_bytes"]), ("int8", True))
        self.assertLess(small["kv_bytes"], made["kv_bytes"])

    def test_text_is_that_of_the_tokens(self):
        made = run("-p", LONG, "-n", "50", "--json").json
        ids = " ".join(str(i) for i in made["tokens"] if i != 2033)
        self.assertEqual(tokenize("--decode", stdin=ids.encode()).text, made["text"])

    def test_log_probabilities(self):
        made = run("-p", LONG, "-n", "6", "--log-probs", "4", "--greedy", "--json").json
        self.assertEqual([t["id"] for t in made["log_probabilities"]], made["tokens"])
        self.assertEqual("".join(t["text"] for t in made["log_probabilities"]), made["text"])
        gaps = golden()[0]["gaps"]
        for token, gap in zip(made["log_probabilities"], gaps[:1]):
            top = [t["log_probability"] for t in token["top"]]
            self.assertEqual((len(top), top), (4, sorted(top, reverse=True)))
            self.assertEqual((token["id"], token["log_probability"]), (token["top"][0]["id"], top[0]))
            self.assertLess(sum(map(math.exp, top)), 1)
            self.assertAlmostEqual(top[0] - top[1], gap, delta=0.15)
        self.assertNotIn("log_probabilities", run("-p", LONG, "-n", "1", "--json").json)
        self.assertEqual(run("-p", LONG, "-n", "1", "--log-probs", "0", "--json").json["log_probabilities"][0]["top"], [])

    def test_model_path_that_is_not_utf8(self):
        path = os.fsencode(path_of("")) + b"odd\xff.gguf"
        os.symlink(MODEL, path)
        done = call(RUN, "-p", "A", "-n", "1", "--json", "-m", os.fsdecode(path))
        self.assertTrue(done.json["model"].endswith("odd\ufffd.gguf"))


class LogProbabilities(unittest.TestCase):
    def test_table(self):
        result = run("-p", LONG, "-n", "3", "--log-probs", "2", "--greedy")
        rows = [line for line in result.err.splitlines() if re.match(r" *\d+ \"", line)]
        self.assertEqual(len(rows), 3)
        self.assertEqual([int(row.split()[0]) for row in rows[:1]], golden()[0]["greedy"][:1])


class Characters(unittest.TestCase):
    def test_any_bytes_in_whole_characters_out(self):
        source = random.Random(4)
        for seed in range(6):
            prompt = bytes(source.randrange(256) for _ in range(40)) + "né日🙂".encode()[:4 + seed]
            args = ["--temp", "5", "--top-k", "0", "--top-p", "1", "--min-p", "0", "-n", "80", "-s", seed]
            result = run(*args, "--ignore-eos", stdin=prompt)
            self.assertEqual(result.code, 0, result.err)
            result.out.decode("utf-8")  # raises if a character is cut
            if HAVE_JSON:
                self.assertEqual(len(run(*args, "--ignore-eos", "--json", stdin=prompt).json["tokens"]), 80)

    def test_prompt_is_shown_as_it_is(self):
        self.assertEqual(run("-p", "né 日 🙂", "-n", "0").text, "né 日 🙂\n")
        self.assertEqual(run("-n", "0", stdin=b"a\0b").out, b"a\0b\n")


class Perplexity(unittest.TestCase):
    def heldout(self):
        return os.path.join(DATA, "stories", "heldout.txt")

    def value(self, *args, **more):
        result = run("--perplexity", *args, **more)
        self.assertEqual(result.code, 0, result.err)
        match = re.fullmatch(r"((?:\[\d+\][\d.]+,)+)\nFinal estimate: PPL = ([\d.]+) \+/- ([\d.]+)\n", result.text)
        self.assertTrue(match, result.text)
        running = re.findall(r"\[(\d+)\]([\d.]+),", match.group(1))
        self.assertEqual([int(n) for n, _ in running], list(range(1, len(running) + 1)))
        self.assertEqual(running[-1][1], match.group(2))
        return float(match.group(2)), float(match.group(3)), len(running)

    def test_against_one_token_at_a_time(self):
        with open(self.heldout(), "rb") as file:
            text = write("part.txt", file.read(5000))
        for window in (32, 512):
            done = subprocess.run([CHECKER, MODEL, text, str(window)], stdout=subprocess.PIPE, timeout=240, check=True)
            expected = [float(word) for word in done.stdout.split()]
            got = self.value(text, *(["-c", window] if window != 512 else []))
            for a, b in zip(got, expected, strict=True):
                self.assertAlmostEqual(a, b, delta=1e-3)

    def test_near_the_golden_value(self):
        with open(os.path.join(DATA, "stories", "heldout.json"), encoding="utf-8") as file:
            alone = json.load(file)["perplexity"]  # each story from its beginning; windows cut stories
        value, error, _ = self.value(self.heldout(), "-c", "256")
        self.assertLess(abs(value - alone), 2 * error)

    def test_stdin(self):
        with open(self.heldout(), "rb") as file:
            text = file.read()
        self.assertEqual(self.value("-", "-c", "64", stdin=text), self.value(self.heldout(), "-c", "64"))

    @needs_json
    def test_json(self):
        result = run("--perplexity", self.heldout(), "-c", "64", "--json")
        value, error, windows = self.value(self.heldout(), "-c", "64")
        made = result.json
        self.assertEqual((made["schema"], made["window"], made["windows"]), ("bitnet-perplexity/1", 64, windows))
        self.assertEqual(made["tokens_scored"], windows * 31)
        self.assertAlmostEqual(made["perplexity"], value, delta=1e-3)
        self.assertAlmostEqual(made["error"], error, delta=1e-4)

    def test_refused(self):
        short = write("short.txt", b"Once upon a time.\n")
        result = run("--perplexity", short)
        self.assertEqual((result.code, result.out), (2, b""))
        self.assertIn("less than one window of 512", result.err)
        self.assertEqual(run("--perplexity", "/missing").code, 2)
        self.assertEqual(run("--perplexity", short, "-c", "3").code, 2)


main()
