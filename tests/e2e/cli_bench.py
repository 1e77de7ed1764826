"""bitnet-bench: its options, the forms of its output, what it refuses. Tiny runs; no figure is judged."""
import csv
import io
import xml.etree.ElementTree

from cli import *  # noqa: F403

BENCH = os.environ["BITNET_TEST_BENCH"]
TINY = {"-p": "8", "-n": "4", "-r": "1", "--mem": "1M"}
FIELDS = """schema test device isa threads batch depth tokens_per_second tokens_per_second_stdev bytes_per_token
achieved_gb_per_second read_gb_per_second int8_peak_share head joules_per_token version build device_name""".split()


def bench(*args, **more):
    """A tiny run; what is given in `args` is not given twice, since lists add up."""
    tiny = [word for item in TINY.items() if item[0] not in args for word in item]
    warmup = [] if "--warmup" in args else ["--no-warmup"]
    return call(BENCH, "-m", MODEL, *tiny, *warmup, *args, **more)


def objects(*args, **more):
    result = bench("--json", *args, **more)
    assert result.code == 0, result.err
    return result.json


def tests_of(rows):
    return [row["test"] for row in rows if row["test"] != "read"]


@needs_json
class Json(unittest.TestCase):
    def test_card(self):
        """Energy, clocks and what slows it, by a fake of NVML that a card of a fake CUDA is known to."""
        one = "ok;0000:01:00.0,NVIDIA Fake,GPU-00112233-4455-6677-8899-aabbccddeeff,8589934592"
        env = {"LD_LIBRARY_PATH": os.environ["BITNET_TEST_FAKES"], "BITNET_TEST_FAKE_CUDA": one}
        result = bench("--json", "-d", "cuda", "--no-limits", env=env)
        if result.code == 4 or "no such kernel" in result.err:
            self.skipTest("this build has no CUDA")
        row = result.json[-1]
        self.assertEqual((row["test"], row["joules_per_token"], row.get("device_clock_mhz")), ("tg4", None, None))
        self.assertIn("energy: the card", row["note"])
        row = objects("-d", "cuda", "--no-limits", env=env | {"BITNET_TEST_FAKE_NVML": one})[-1]
        self.assertAlmostEqual(row["joules_per_token"], 250 / row["tokens_per_second"], delta=50 / row["tokens_per_second"])
        self.assertEqual((row["device_clock_mhz"], row["device_memory_clock_mhz"], row["device_power_watts"],
                          row["device_temperature_celsius"], row["device_limited_by"]), (1980, 2619, 250, 61, "power and heat"))

    def test_fields(self):
        rows = objects("-t", "1")
        self.assertEqual([row["test"] for row in rows], ["pp8", "tg4", "read", "read"])
        for row in rows:
            self.assertEqual([name for name in FIELDS if name not in row], [])
            self.assertEqual((row["schema"], row["threads"]), ("bitnet-bench/1", 1))
        prompt, decode = rows[:2]
        self.assertEqual((prompt["device"], prompt["batch"], decode["batch"], decode["depth"]), ("cpu", 8, 1, 0))
        self.assertEqual((prompt["model"], prompt["head"], prompt["tokens_per_second_stdev"]), (MODEL, "f16", 0))
        for row in (prompt, decode):
            self.assertEqual(len(row["tokens_per_second_samples"]), 1)
            self.assertEqual(row["tokens_per_second_samples"][0], row["tokens_per_second_median"])
            achieved = row["tokens_per_second_median"] * row["bytes_per_token"] / 1e9
            self.assertAlmostEqual(row["achieved_gb_per_second"] / achieved, 1, places=6)
            # The model is larger than an eighth of what is read, so this was read between its repetitions.
            self.assertNotIn(row["read_gb_per_second"], (row["read_gb_per_second_4k"], row["read_gb_per_second_huge"]))
            self.assertGreaterEqual(row["read_gb_per_second_best"], row["read_gb_per_second"])
            self.assertIsNone(row["handoff_ns"])  # one thread
            self.assertAlmostEqual(row["bandwidth_share"], row["achieved_gb_per_second"] / row["read_gb_per_second"], places=6)
            self.assertEqual((row["copy_gb_per_second"], row["dispatches_per_token"]), (None, None))
            self.assertTrue(row["joules_per_token"] is not None or "energy" in row["note"])
        self.assertEqual([row.get("device_clock_mhz") for row in rows], [None] * 4)
        # A token reads every weight once; a prompt of 8 shares them between its tokens.
        self.assertGreater(decode["bytes_per_token"], 0.9 * 2064480)
        self.assertLess(prompt["bytes_per_token"], decode["bytes_per_token"] / 7)
        self.assertLessEqual(decode["token_p50_ms"], decode["token_p99_ms"])
        self.assertIsNone(prompt["token_p50_ms"])
        for row, pages in zip(rows[2:], ("4k", "huge"), strict=True):
            self.assertEqual((row["pages"], row["bytes"], row["tokens_per_second"]), (pages, 1 << 20, None))
            self.assertGreaterEqual(len(row["loops"]), 4)
            self.assertEqual(max(loop["gb_per_second"] for loop in row["loops"]), row["read_gb_per_second"])

    def test_a_small_model_stays_in_the_caches(self):
        for row in objects("-t", "1", "--mem", "64M", "-p", "0")[:1]:
            self.assertIn(row["read_gb_per_second"], (row["read_gb_per_second_4k"], row["read_gb_per_second_huge"]))

    def test_bytes_count_the_context(self):
        rows = objects("--no-limits", "-p", "0", "--depth", "0,64", "--depth", "192", "-t", "1")
        self.assertEqual([(row["test"], row["depth"]) for row in rows],
                         [("tg4", 0), ("tg4 @ d64", 64), ("tg4 @ d192", 192)])
        bytes_ = [row["bytes_per_token"] for row in rows]
        position = (bytes_[1] - bytes_[0]) / 64
        self.assertEqual(bytes_[2] - bytes_[1], position * 128)
        self.assertEqual(position % (2 * 2 * 2 * 16), 0)  # K and V, f16, at least 2 layers and 16 dimensions
        self.assertGreater(position, 0)

    def test_combinations(self):
        rows = objects("--no-limits", "-t", "1-2", "-p", "4,8", "-n", "2", "-pg", "4,2", "--depth=0,5", "--sessions",
                       "1,3", "-b", "3", "-ub", "2", "--pages", "huge,4k")
        once = ["pp4", "pp8", "pp4+tg2", "tg2", "tg2 x3", "pp4 @ d5", "pp8 @ d5", "pp4+tg2 @ d5", "tg2 @ d5",
                "tg2 @ d5 x3"]
        self.assertEqual(tests_of(rows), once * 4)
        self.assertEqual([row["threads"] for row in rows], [1] * 20 + [2] * 20)
        self.assertEqual({(row["n_batch"], row["n_ubatch"]) for row in rows}, {(3, 2)})
        self.assertEqual({row["sessions"] for row in rows}, {1, 3})
        self.assertEqual({row["batch"] for row in rows if row["test"] == "tg2 x3"}, {2})

    def test_cache_types(self):
        rows = objects("--no-limits", "-t", "1", "-p", "0", "--depth", "0,64", "--cache-type", "f16,int8")
        self.assertEqual([(row["test"], row["cache_type"]) for row in rows],
                         [("tg4", "f16"), ("tg4 @ d64", "f16"), ("tg4 int8", "int8"), ("tg4 @ d64 int8", "int8")])
        half, one = ((rows[i + 1]["bytes_per_token"] - rows[i]["bytes_per_token"]) / 64 for i in (0, 2))
        self.assertTrue(half / 2 < one < half)  # the steps are beside the half

    def test_ranges(self):
        for text, values in {"3": [3], "1-3": [1, 2, 3], "2-9+3": [2, 5, 8], "1-8*2": [1, 2, 4, 8], "5,1-2": [5, 1, 2],
                             "7-7": [7]}.items():
            rows = objects("--no-limits", "-p", text, "-n", "0")
            self.assertEqual([row["n_prompt"] for row in rows], values, text)
        self.assertEqual(objects("--no-limits", "-p", "0", "-n", "0"), [])
        result = call(BENCH, "-m", "/missing", "-p", "0", "-n", "0", "--mem", "1M", "--json")  # no test, no model
        self.assertEqual([row["test"] for row in result.json], ["read", "read"])

    def test_repetitions(self):
        row, = objects("--no-limits", "-p", "0", "-r", "3", "--warmup")
        self.assertEqual(len(row["tokens_per_second_samples"]), 3)
        mean = sum(row["tokens_per_second_samples"]) / 3
        self.assertAlmostEqual(row["tokens_per_second"] / mean, 1, places=6)
        self.assertEqual(sorted(row["tokens_per_second_samples"])[1], row["tokens_per_second_median"])
        self.assertIsNone(row["read_gb_per_second"])

    def test_isa(self):
        row = objects("--no-limits", "--isa", "scalar", "-p", "0", "--wait", "spin")[0]
        self.assertEqual(row["isa"], "scalar")
        self.assertEqual(objects("--no-limits", "-p", "0", "-d", "null")[0]["device"], "null")


    def test_devices_beside_each_other(self):
        rows = objects("-p", "0", "-d", "cpu,null", "--mem", "1M", "-t", "1,2")
        self.assertEqual([(row["device"], row["threads"]) for row in rows if row["test"] != "read"],
                         [("cpu", 1), ("cpu", 2), ("null", None)])
        self.assertEqual(len({row["device_name"] for row in rows}), 2)
        for wrong in ("cpu,", ",", ",".join(["cpu"] * 17)):
            self.assertEqual(bench("-d", wrong, "--no-limits").code, 2, wrong)

    def on_a_device(self, device, dispatches):
        rows = objects("-d", device, "-p", "8", "-n", "4", "--sessions", "1,3", "--mem", "1M")
        self.assertEqual([row["test"] for row in rows], ["pp8", "tg4", "tg4 x3"])
        for row, per_token in zip(rows, (1 / 8, 1, 1 / 3), strict=True):
            self.assertGreater(row["copy_gb_per_second"], 0)
            self.assertIsNone(row["read_gb_per_second"])
            self.assertAlmostEqual(row["bandwidth_share"] * row["copy_gb_per_second"] / row["achieved_gb_per_second"], 1, places=5)
            if dispatches:  # rows that take long are cut into more submissions
                self.assertGreaterEqual(row["submissions_per_token"], per_token - 1e-6)
            else:
                self.assertAlmostEqual(row["submissions_per_token"], per_token, places=6)
            self.assertGreater(row["host_us_per_token"], 0)
            self.assertLessEqual(row["host_us_per_token"], 1.01e6 / min(row["tokens_per_second_samples"]))
            self.assertEqual(row["dispatches_per_token"] is None, not dispatches)
        if dispatches:
            self.assertLessEqual(rows[1]["dispatches_per_token"], 5 * 6 + 6)

    def test_null(self):
        self.on_a_device("null", False)

    @unittest.skipUnless(call(BENCH, "-m", MODEL, "-d", "vulkan", "-p", "1", "-n", "0", "--no-limits", "-r", "1").code == 0,
                         "no Vulkan device")
    def test_vulkan(self):
        self.on_a_device("vulkan", True)
        self.breakdown("vulkan")

    @unittest.skipUnless("opencl" in DRIVERS, "no OpenCL device for tests")
    def test_opencl(self):
        self.breakdown("opencl", env=CL)  # PoCL is a CPU: it is compared with what that reads

    def breakdown(self, device, **more):
        row, = objects("-d", device, "-p", "0", "-n", "4", "--breakdown", "--no-limits", **more)
        ops = {entry["op"]: entry for entry in row["breakdown"]}
        self.assertAlmostEqual(sum(entry["barriers_per_token"] for op, entry in ops.items() if op),
                               row["dispatches_per_token"], places=6)
        self.assertTrue(any(op and op.startswith("attention") for op in ops), list(ops))


class Tables(unittest.TestCase):
    def test_csv(self):
        result = bench("--csv", "-q", "--depth", "0,3")
        self.assertEqual((result.code, result.err), (0, ""))
        rows = list(csv.DictReader(io.StringIO(result.text)))
        self.assertEqual([row["test"] for row in rows], ["pp8", "tg4", "pp8 @ d3", "tg4 @ d3"])
        for row in rows:
            self.assertNotIn(None, row)
            self.assertNotIn(None, row.values())
            float(row["tokens_per_second"])
            self.assertEqual(row["model"], MODEL)
        self.assertEqual(rows[0]["token_p50_ms"], "")

    def test_markdown(self):
        result = bench("--depth", "0,3")
        self.assertEqual(result.code, 0, result.err)
        table = [line for line in result.text.splitlines() if line.startswith("|")]
        self.assertTrue(table[0].startswith("| model | size | params |"), table[0])
        self.assertTrue(any("| tg4 @ d3 |" in line for line in table))
        self.assertEqual(len({line.count("|") for line in table[:6]}), 1)
        self.assertRegex(result.text, r"(?m)^\d+ threads?, 1 MiB: reads [\d.]+ GB/s in 4k pages")
        self.assertIn("before the tests", result.err)
        self.assertNotIn("before the tests", bench("-q").err)


class Others(unittest.TestCase):
    @needs_json
    def test_kernels(self):
        rows = call(BENCH, "--kernels", "--json", "-r", "1", "--mem", "1M", "--isa", "scalar").json
        self.assertEqual({row["isa"] for row in rows}, {"scalar"})
        self.assertIn("ternary 13824x2560 x128", [row["test"] for row in rows])
        for row in rows:
            self.assertEqual(([name for name in FIELDS if name not in row], row["threads"]), ([], 1))
            self.assertGreater(row["seconds"], 0)
            if row["gb_per_second"] is not None:
                self.assertGreater(row["gmac_per_second"], 0)
        result = call(BENCH, "--kernels", "--csv", "-r", "1", "--mem", "1M", "--isa", "scalar", "-q")
        self.assertEqual([row["test"] for row in csv.DictReader(io.StringIO(result.text))],
                         [row["test"] for row in rows])
        self.assertEqual(call(BENCH, "--kernels", "--isa", "mmx").code, 2)

    @needs_json
    def test_breakdown(self):
        prompt, decode = objects("--no-limits", "--breakdown", "-t", "2")
        ops = {row["op"]: row for row in decode["breakdown"]}
        self.assertTrue({None} < set(ops))
        calls = {op.split()[0]: row["calls_per_token"] for op, row in ops.items() if op}
        self.assertEqual((calls["gate_up"], calls["gate_up"] % 1), (calls["qkv"], 0))
        for row in decode["breakdown"]:
            if row["op"]:
                self.assertTrue(0 <= row["wait_share"] <= 1, row)
                self.assertLessEqual(row["barriers_per_token"], 2 * row["calls_per_token"])
        self.assertAlmostEqual(sum(row["us_per_token"] for row in decode["breakdown"]) *
                               decode["tokens_per_second_median"] / 1e6, 1, places=1)
        embed = next(row for row in prompt["breakdown"] if row["op"].startswith("embed"))
        self.assertEqual(embed["calls_per_token"], 1 / 8)
        self.assertEqual(bench("--breakdown", "--no-limits", "-d", "null").code, 4)
        self.assertIn("| all |", bench("--breakdown", "--no-limits").text)

    def test_plot(self):
        path = path_of("plot.svg")
        result = bench("-t", "1,2", "--depth", "0,9", "--sessions", "1,2", "--plot", path)
        self.assertEqual(result.code, 0, result.err)
        root = xml.etree.ElementTree.parse(path).getroot()
        texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
        for wanted in ("Roofline, 2 threads", "threads", "positions in the context", "sessions in one batch", "pp8",
                       "tg4 x2"):
            self.assertIn(wanted, texts)
        width, height = float(root.get("width")), float(root.get("height"))
        for node in root.iter():
            for x, y in (("x", "y"), ("x1", "y1"), ("x2", "y2"), ("cx", "cy")):
                if node.get(x) is not None:
                    self.assertTrue(0 <= float(node.get(x)) <= width and 0 <= float(node.get(y)) <= height, node.attrib)
        self.assertEqual([name for name in os.listdir(scratch.name) if ".tmp" in name], [])
        for wrong in (path_of("no/such.svg"), scratch.name, ""):
            result = bench("--no-limits", "--plot", wrong)
            self.assertEqual((result.code, result.out, "tokens/s" in result.err), (2, b"", False), wrong)
        self.assertEqual(bench("--no-limits", "-n", "0", "--plot", path).code, 0)  # nothing to compare: an empty picture

    @needs_json
    def test_head(self):
        rows = [objects("--no-limits", "-p", "0", "--head", how)[0] for how in ("full", "scan")]
        self.assertEqual([row["head"] for row in rows], ["f16", "int8 scan, f16"])
        self.assertIsNone(rows[0]["rescored_rows"])
        self.assertGreaterEqual(rows[1]["rescored_rows"], 40)
        self.assertEqual(objects("--no-limits", "-p", "0", "--head", "scan", "--top-k", "0")[0]["head"], "f16")


class Refused(unittest.TestCase):
    def test_usage(self):
        for args, word in ((["-p", "x"], "-p: 'x'"), (["-p", "8-"], "-p"), (["-p", "9-8"], "-p"), (["-p", ""], "-p"),
                           (["-p", "1-9*1"], "-p"), (["-p", "0-9*2"], "-p"), (["-p", "1-4+0"], "-p"),
                           (["-p", "8,"], "-p"), (["-p", "99999999999"], "-p"), (["-p", "1-100"], "-p"),
                           (["-n", "-1"], "-n"), (["-t", "9999"], "-t"), (["--sessions", "0"], "--sessions"),
                           (["-b", "0"], "-b"), (["-ub", "0"], "-ub"), (["-r", "0"], "-r"), (["-pg", "8"], "-pg"),
                           (["-pg", "8,0"], "-pg"), (["-pg", "8,4,2"], "-pg"), (["--pages", "2m"], "--pages"),
                           (["--pages", "4k,"], "--pages"), (["--cache-type", "q8_0"], "--cache-type"), (["--mem", "0"], "--mem"), (["--mem", "8T"], "--mem"),
                           (["--mem", "99999999999999999999"], "--mem"), (["--mem", "8MB"], "--mem"),
                           (["-d", "4000"], "--depth"), (["-o", "xml"], "xml"), (["--csv", "-o", "csv"], "give one"),
                           (["--synthetic", "tiny"], "give one"), (["--kernels"], "--kernels"), (["--top-k", "9999"], "--top-k"),
                           (["more"], "more"),
                           (["--n-depth", "4"], "--depth"), (["-ngl", "9"], "-d"), (["-fa", "1"], "attention"),
                           (["-ctk", "q8_0"], "f16"), (["-oe", "md"], "stderr")):
            result = call(BENCH, "-m", MODEL, *args)
            self.assertEqual((result.code, result.out), (2, b""), args)
            self.assertIn(word, result.err, args)

    def test_model_and_device(self):
        for args, code in ((["-m", "/missing.gguf"], 2), (["-m", write("no.gguf", b"no model")], 3),
                           (["-m", MODEL, "-d", "gpu9"], 4), (["-m", MODEL, "--isa", "mmx"], 2)):
            result = call(BENCH, *args, "--no-limits")
            self.assertEqual((result.code, result.out), (code, b""), args)
            self.assertTrue(result.err)

    def test_synthetic(self):
        cache = path_of("cache")
        result = call(BENCH, "--synthetic", "tiny", "--no-limits", env={"BITNET_CACHE_DIR": cache})
        self.assertEqual((result.code, result.out), (2, b""))
        self.assertIn(f"bitnet-convert --synthetic tiny '{cache}/synthetic-tiny.gguf'", result.err)
        os.mkdir(cache)
        os.symlink(MODEL, os.path.join(cache, "synthetic-tiny.gguf"))
        result = call(BENCH, "--synthetic", "tiny", "-p", "8", "-n", "2", "--no-limits", env={"BITNET_CACHE_DIR": cache})
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(call(BENCH, "--synthetic", "../x").code, 2)


main()
