"""Every option of every tool that opens a device, with -d opencl: the output is the CPU's, or the refusal names option and driver."""
import os

from cli import *  # noqa: F403

BENCH = os.environ["BITNET_TEST_BENCH"]
DOCTOR = os.environ["BITNET_TEST_DOCTOR"]
STORY = ["-p", "A dog", "-n", "8"]

# Calls of bitnet-run whose stdout must be the CPU's. Together they have every option of --help but for those below.
SAME = [
    [*STORY, "--greedy"],
    [*STORY, "-s", "9", "--temp", "0.5", "--top-k", "30", "--top-p=.9", "--min-p", "1e-1", "--repeat-penalty", "1.1",
     "--repeat-last-n", "5"],
    [*STORY, "-s", "2", "--top-k", "0", "--ignore-eos", "--head", "full", "-b", "1", "-ub", "2", "-c", "100"],
    [*STORY, "-s", "2", "--head", "scan", "--no-mmap", "-t", "1", "--wait", "spin", "-v", "--log", "error"],
    ["-f", "PROMPT", "-n", "5", "--greedy", "-e", "--no-display-prompt", "--color=never", "-no-cnv", "-q",
     "--stop", "zebra"],
    [*STORY, "--greedy", "--activation", "relu2", "--i2s-layout", "128/32", "--models", DATA],
    [*STORY, "--greedy", "--activation-planes", "2"],
    [*STORY, "--greedy", "--trace", os.devnull],
    [*STORY, "--greedy", "--on-device-lost", "reopen", "--fault", "DRIVER:submit@3=lost"],
    [*STORY, "--greedy", "--on-device-lost", "cpu", "--fault", "DRIVER:submit@3=lost"],
]
CLOSE = {"--perplexity", "--embedding", "--log-probs", "--json"}  # floats, compared below
NOTED = {"--isa": ["--isa", "scalar"], "--packing": ["--packing", "base3"]}  # the same output, and a line that says so
REFUSED = {"--cache-type": ["--cache-type", "int8"]}
ELSEWHERE = {"--model", "--device", "--list-devices", "--help", "--version",  # for every device the same
             "--system-prompt", "--single-turn"}  # of a chat, before there are tokens: cli_chat.py
BENCHED = ["-p", "5", "-n", "2", "-pg", "4,2", "--depth", "0,3", "--sessions", "1,2", "-b", "3", "-ub", "2", "-r", "1", "--head", "full",
           "--top-k", "4", "-t", "1-2", "--pages", "huge,4k", "--wait", "spin", "--mem", "1M", "--no-limits", "--no-warmup", "--no-mmap",
           "--activation", "relu2", "--i2s-layout", "128/32", "--models", DATA, "--json", "-q", "--breakdown", "--trace", os.devnull]
FORMATS = [["--csv"], ["--plot", "plot.svg", "-o", "md"]]
OF_THE_CPU = {"--kernels": ["--kernels"], "--tune": ["--tune", "-m", MODEL]}
# What becomes of figures once they are there, and what is with -d opencl as the same option of bitnet-run is.
BENCH_ELSEWHERE = {"--compare", "--results", "--noise", "--fail-if-worse", "--synthetic"} | ELSEWHERE


def pair(*args, tool=RUN):
    """The same call on the CPU and through OpenCL."""
    prompt = write("prompt", b"One day,\\n")
    given = [["-d", driver] + [str(prompt if arg == "PROMPT" else arg.replace("DRIVER", driver)) for arg in args]
             for driver in ("cpu", "opencl")]
    return [call(tool, "-m", MODEL, *words, env=CL) for words in given]


@unittest.skipUnless("opencl" in DRIVERS, "no OpenCL device for tests")
class Run(unittest.TestCase):
    def test_every_option_is_here(self):
        used = {word.split("=")[0] for words in (*SAME, *NOTED.values(), *REFUSED.values()) for word in words}
        for _, names, _ in options_of(RUN):
            self.assertTrue(set(names) & (used | CLOSE | ELSEWHERE), names)

    def test_same(self):
        for args in SAME:
            with self.subTest(args=args):
                cpu, opencl = pair(*args)
                self.assertEqual((cpu.code, opencl.code), (0, 0), opencl.err)
                self.assertEqual(opencl.text, cpu.text)
                self.assertTrue(opencl.text)
                self.assertNotIn("does nothing", opencl.err)

    def test_noted(self):
        for option, use in NOTED.items():
            cpu, opencl = pair(*STORY, "--greedy", *use)
            self.assertEqual((opencl.code, opencl.text), (0, cpu.text), opencl.err)
            self.assertRegex(opencl.err, rf"{option}.* does nothing on cpu/opencl: ")
            self.assertNotIn("does nothing", cpu.err)

    def test_refused(self):
        for tool, args in ((RUN, STORY), (BENCH, ["-p", "4", "-n", "2", "-r", "1", "--mem", "1M", "--no-limits"])):
            result = call(tool, "-m", MODEL, "-d", "opencl", *args, *REFUSED["--cache-type"], env=CL)
            self.assertEqual((result.code, result.text), (4, ""), result.err)
            self.assertRegex(result.err, r"cpu/opencl: .*int8")
            self.assertIn("--cache-type f16", result.err)

    def test_close(self):
        cpu, opencl = pair("--perplexity", os.path.join(DATA, "stories", "heldout.txt"), "-c", "64", "-q")
        figures = [[float(word) for word in re.findall(r"\d+\.\d+", result.text)] for result in (cpu, opencl)]
        self.assertTrue(figures[0])
        for one, other in zip(*figures, strict=True):
            self.assertAlmostEqual(other / one, 1, delta=0.01)
        if HAVE_JSON:
            one, other = (result.json for result in pair(*STORY, "--greedy", "--json", "--log-probs", "3"))
            self.assertEqual(one["text"], other["text"])
            one, other = (result.json for result in pair("--embed", "-p", "A dog", "--json"))
            self.assertGreater(sum(a * b for a, b in zip(one["embedding"], other["embedding"], strict=True)), 0.999)


@unittest.skipUnless("opencl" in DRIVERS, "no OpenCL device for tests")
class Others(unittest.TestCase):
    def test_every_option_of_bench_is_here(self):
        used = {word for words in (BENCHED, *FORMATS, *OF_THE_CPU.values(), *NOTED.values(), *REFUSED.values()) for word in words}
        for _, names, _ in options_of(BENCH):
            self.assertTrue(set(names) & (used | BENCH_ELSEWHERE), names)

    @needs_json
    def test_bench(self):
        """What is no figure is the CPU's."""
        cpu, opencl = pair(*BENCHED, tool=BENCH)
        self.assertEqual((cpu.code, opencl.code), (0, 0), opencl.err)
        same = ("test", "threads", "batch", "depth", "head")
        self.assertEqual([[row[key] for key in same] for row in cpu.json], [[row[key] for key in same] for row in opencl.json])
        self.assertTrue(all(row["tokens_per_second"] > 0 for row in opencl.json))

    def test_formats(self):
        for args in FORMATS:
            args = [path_of(arg) if arg.endswith(".svg") else arg for arg in args]
            cpu, opencl = pair("-p", "4", "-n", "1", "-r", "1", "--mem", "1M", "--no-limits", "--no-warmup", *args, tool=BENCH)
            self.assertEqual((cpu.code, opencl.code), (0, 0), opencl.err)
            self.assertEqual(len(opencl.text.splitlines()), len(cpu.text.splitlines()))

    def test_of_the_cpu(self):
        for option, use in OF_THE_CPU.items():
            result = call(BENCH, "-d", "opencl", *use, env=CL)
            self.assertEqual((result.code, option in result.err, "driver cpu" in result.err), (2, True, True), result.err)

    def test_doctor(self):
        cpu, opencl = pair(tool=DOCTOR)
        self.assertEqual((opencl.code in (0, 10, 11), cpu.code in (0, 10, 11)), (True, True), opencl.err)
        self.assertIn("opencl", opencl.text)


main(needs_model=False)
