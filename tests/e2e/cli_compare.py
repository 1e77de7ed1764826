"""bitnet-bench --compare: verdicts on made-up results, and files that are none."""
import math
import statistics

from cli import *  # noqa: F403

BENCH = os.environ["BITNET_TEST_BENCH"]


def result(name, samples, **more):
    samples = list(samples)
    return {"schema": "bitnet-bench/1", "test": name, "device": "cpu", "driver": "cpu", "isa": "avx2", "threads": 2,
            "sessions": 1, "depth": 0, "n_batch": 2048, "n_ubatch": 512, "cache_type": "f16", "head": "f16",
            "model_name": "m", "model_n_params": 7, "pages": "huge", "device_name": "a machine",
            "tokens_per_second_median": statistics.median(samples), "tokens_per_second_samples": samples} | more


def compare(before, now, *args):
    paths = [write(name, json.dumps(list_).encode()) for name, list_ in (("before.json", before), ("now.json", now))]
    return call(BENCH, "--compare", paths[0], "--results", paths[1], *args)


def verdicts(before, now, *args):
    answer = compare(before, now, "--json", *args)
    assert answer.code == 0, answer.err
    return [entry["compare"]["verdict"] for entry in answer.json if "compare" in entry]


def noise(a, b):
    """By the rule of docs/baselines/README.md."""
    errors = []
    for samples in (a, b):
        median = statistics.median(samples)
        mad = statistics.median(abs(x - median) for x in samples)
        errors.append(1.4826 * mad / median * math.sqrt(math.pi / 2 / len(samples)))
    return 3 * math.hypot(*errors)


STILL = [100.0, 100.2, 99.8, 100.1, 99.9]
WILD = [100.0, 140.0, 60.0, 120.0, 80.0]


@needs_json
class Verdicts(unittest.TestCase):
    def test_still(self):
        for factor, verdict in ((1.0, "same"), (1.04, "same"), (0.96, "same"), (1.07, "better"), (0.93, "worse"),
                                (2.0, "better"), (0.5, "worse")):
            self.assertEqual(verdicts([result("tg8", STILL)], [result("tg8", [factor * x for x in STILL])]), [verdict], factor)
        faster = [result("tg8", [1.04 * x for x in STILL])]
        self.assertEqual(verdicts([result("tg8", STILL)], faster, "--noise", "1"), ["better"])
        self.assertEqual(verdicts([result("tg8", STILL)], faster, "--noise", "0"), ["better"])
        self.assertEqual(verdicts([result("tg8", STILL)], [result("tg8", [2 * x for x in STILL])], "--noise", "150"), ["same"])

    def test_wild(self):
        """Samples that scatter hide a change of a fifth; an outlier among still ones hides and makes nothing."""
        self.assertEqual(verdicts([result("tg8", WILD)], [result("tg8", [1.2 * x for x in WILD])]), ["same"])
        answer = compare([result("tg8", WILD)], [result("tg8", [1.2 * x for x in WILD])], "--json").json[0]["compare"]
        self.assertAlmostEqual(answer["noise"], noise(WILD, WILD), places=3)
        self.assertAlmostEqual(answer["change"], 0.2, places=6)
        self.assertEqual(answer["tokens_per_second_median"], 100)
        outlier = STILL[:4] + [20.0]
        self.assertEqual(verdicts([result("tg8", STILL)], [result("tg8", outlier)]), ["same"])
        self.assertEqual(verdicts([result("tg8", outlier)], [result("tg8", [0.9 * x for x in STILL])]), ["worse"])

    def test_few(self):
        """One or two samples do not say how they scatter."""
        for factor, verdict in ((1.15, "same"), (0.86, "same"), (1.25, "better"), (0.8, "worse")):
            for n in (1, 2):
                self.assertEqual(verdicts([result("tg8", STILL)], [result("tg8", [100 * factor] * n)]), [verdict], factor)
        self.assertEqual(verdicts([result("tg8", [100.0] * 5)], [result("tg8", [106.0] * 5)]), ["better"])  # no scatter at all

    def test_which_is_which(self):
        before = [result("tg8", [x * k for x in STILL], **more) for k, more in
                  ((1, {}), (2, {"threads": 4}), (3, {"isa": "scalar"}), (4, {"test": "pp8"}), (5, {"pages": "4k"}),
                   (6, {"driver": "vulkan", "isa": "vulkan 1.3", "threads": None}), (7, {"model_name": "n"}))]
        now = [result("tg8", [x * k for x in STILL], **more) for k, more in
               ((5, {"pages": "4k"}), (6, {"driver": "vulkan", "isa": "vulkan 1.3", "threads": None}), (4, {"test": "pp8"}),
                (1, {}), (2, {"threads": 4}), (1, {"pages": "file"}), (9, {"test": "tg8 x8", "sessions": 8}))]
        self.assertEqual(verdicts(before, now), ["same"] * 6 + ["new"])
        old = {key: value for key, value in before[0].items() if key not in ("driver", "cache_type")}  # of an older program
        self.assertEqual(verdicts([old], [before[0]]), ["same"])
        read = {"schema": "bitnet-bench/1", "test": "read", "read_gb_per_second": 3}
        self.assertEqual(verdicts([read, before[0]], [before[0], read]), ["same"])

    def test_exit_and_table(self):
        before, slower = [result("tg8", STILL), result("pp8", STILL)], [result("tg8", STILL), result("pp8", [50.0] * 5)]
        self.assertEqual(compare(before, slower).code, 0)
        answer = compare(before, slower, "--fail-if-worse")
        self.assertEqual(answer.code, 1)
        self.assertIn("| pp8 | cpu avx2 | 2 | 100.00 | 50.00 | -50.0 % | 5.0 % | worse |", answer.text)
        self.assertIn("| tg8 | cpu avx2 | 2 | 100.00 | 100.00 | +0.0 % | 5.0 % | same |", answer.text)
        self.assertEqual(compare(slower, before, "--fail-if-worse").code, 0)
        self.assertEqual(compare(before, slower, "--fail-if-worse", "--json").code, 1)
        self.assertIn("another machine", compare(before, [result("tg8", STILL, device_name="b")]).err)
        answer = compare(before, [result("tg9", STILL)])
        self.assertEqual((answer.code, answer.out), (2, b""))

    def test_measured(self):
        tiny = ("-m", MODEL, "-p", "4", "-n", "2", "-r", "3", "--no-limits", "--no-warmup", "-t", "1", "-d", "cpu", "-q")
        first = call(BENCH, *tiny, "--json")
        path = write("first.json", first.out)
        answer = call(BENCH, *tiny, "--compare", path, "--json", "--noise", "1000")
        self.assertEqual((answer.code, [entry["compare"]["verdict"] for entry in answer.json]), (0, ["same", "same"]))
        self.assertRegex(call(BENCH, *tiny, "--compare", path).text, r"\| tg2 \| cpu \w+ \| 1 \| [\d.]+ \| [\d.]+ \| [+-]")
        self.assertEqual((answer.json[0]["driver"], answer.json[0]["system"].split()[0]), ("cpu", "Linux"))


@needs_json
class Refused(unittest.TestCase):
    def test_files(self):
        good = write("good.json", json.dumps([result("tg8", STILL)]).encode())
        for text in (b"", b"{", b"{}", b"3", b"[3]", b"[{}]", b'[{"schema": "bitnet-bench/2"}]', b"\xff\xfe", b"[" * 100000,
                     b'[{"schema": "bitnet-run/1", "test": "tg8"}]'):
            bad = write("bad.json", text)
            for args in (("--compare", bad, "--results", good), ("--compare", good, "--results", bad), ("--compare", bad)):
                answer = call(BENCH, "-m", MODEL, *args)
                self.assertEqual((answer.code, answer.out, "bad.json" in answer.err), (2, b"", True), (text[:20], answer.err))
        for more in ({"tokens_per_second_median": "fast"}, {"tokens_per_second_median": -1}, {"tokens_per_second_median": 0},
                     {"test": 7}, {"test": None}):
            self.assertEqual(compare([result("tg8", STILL, **more)], [result("tg8", STILL)]).code, 2, more)
        for samples in ("x", 3, ["a", None, {}], [-1] * 5, [1e308] * 9, []):  # no sense, no crash
            answer = compare([result("tg8", STILL)], [{**result("tg8", STILL), "tokens_per_second_samples": samples}])
            self.assertEqual(answer.code, 0, (samples, answer.err))
        name = compare([result("tg8\x1b[2J", STILL)], [result("tg8\x1b[2J", STILL)])
        self.assertNotIn("\x1b", name.text)

    def test_usage(self):
        good = write("good.json", json.dumps([result("tg8", STILL)]).encode())
        for args in (("--results", good), ("--fail-if-worse",), ("--compare", good, "--csv"), ("--compare", good, "--kernels"),
                     ("--compare", "/missing.json"), ("--compare", good, "--noise", "-1")):
            answer = call(BENCH, *args)
            self.assertEqual((answer.code, answer.out), (2, b""), args)

    def test_baselines(self):
        """Those of the repository can be compared with, and say what they were made with."""
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "docs", "baselines")
        names = [name for name in os.listdir(folder) if name.endswith(".json")]
        self.assertGreater(len(names), 0)
        for path in (os.path.join(folder, name) for name in names):
            answer = call(BENCH, "--compare", path, "--results", path, "--json")
            self.assertEqual(answer.code, 0, answer.err)
            self.assertEqual({entry["compare"]["verdict"] for entry in answer.json if "compare" in entry}, {"same"})
            for entry in answer.json:
                self.assertRegex(entry["build"]["commit"], r"^[0-9a-f]{7,40}$")
                self.assertTrue(entry["device_name"] and entry["system"], entry)


main()
