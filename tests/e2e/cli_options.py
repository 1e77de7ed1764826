"""Options of bitnet-run: each of them is accepted, wrong ones are refused with the right words and exit codes."""
import os
import subprocess

from cli import *  # noqa: F403

# A use of each option that makes little text. One that is in --help and not here fails the test.
USES = {
    "--model": [], "--models": ["--models", DATA], "--i2s-layout": ["--i2s-layout", "128/32"],
    "--activation": ["--activation", "relu2"], "--prompt": ["--prompt", "A cat"], "--file": [], "--escape": ["-e"],
    "--display-prompt": ["--no-display-prompt"], "--conversation": ["-no-cnv"], "--system-prompt": [],
    "--single-turn": [], "--n-predict": ["--predict=3"], "--ctx-size": ["-c", "100"], "--ignore-eos": ["--ignore-eos"],
    "--stop": ["-r", "dog", "--stop", "cat"], "--batch-size": ["-b", "1"], "--ubatch-size": ["-ub", "2"],
    "--seed": ["-s", "9"], "--greedy": ["--greedy"], "--temperature": ["--temp", "0.5"], "--top-k": ["--top-k", "3"],
    "--top-p": ["--top-p=.5"], "--min-p": ["--min-p", "1e-1"], "--repeat-penalty": ["--repeat-penalty", "1.1"],
    "--repeat-last-n": ["--repeat-last-n", "5"], "--device": ["-dev", "cpu"], "--list-devices": ["--list-devices"],
    "--threads": ["-t1"], "--isa": ["--isa", "scalar"], "--wait": ["--wait", "spin"],
    "--mmap": ["--no-mmap"], "--packing": ["--packing", "base3"], "--on-device-lost": ["--on-device-lost", "cpu"],
    "--head": ["--head", "scan"], "--fault": ["--fault", ""],
    "--log-probs": ["--log-probs", "0"], "--trace": ["--trace", os.devnull], "--perplexity": [], "--embedding": ["--embed"],
    "--cache-type": ["--cache-type", "int8"],
    "--activation-planes": ["--activation-planes", "2"], "--json": ["--json"] if HAVE_JSON else [],
    "--verbose": ["-v"], "--quiet": ["-q"], "--log": ["--log", "debug"], "--color": ["--color=never"],
    "--help": ["-h"], "--version": ["--version"],
}
# Those that need more than a word beside -p are used in the tests named here.
ELSEWHERE = {"--model": "Wrong", "--file": "Prompts", "--system-prompt": "cli_chat.py", "--single-turn": "cli_chat.py",
             "--perplexity": "cli_text.py"}

LLAMA = """-ngl --gpu-layers -sm -ts -tb -C --numa --prio --poll -fa -ctk --mlock --lora -hf -mu --grammar
-j --json-schema --mirostat --typical --top-nsigma --dynatemp-range --xtc-probability --presence-penalty
--frequency-penalty --dry-multiplier --samplers --sampler-seq -l --logit-bias -i -if -mli --in-prefix --in-suffix
--chat-template --jinja -sysf -bf --prompt-cache --keep --context-shift -sp --verbose-prompt --no-warmup --no-perf
--simple-io --log-disable --log-file -md --draft --rope-scaling --rope-freq-base --yarn-ext-factor --override-kv
--check-tensors -gan --parallel --cache-type-v --control-vector --hf-repo --flash-attn --split-mode""".split()


class Accepted(unittest.TestCase):
    def test_every_option(self):
        names = [row[1][-1].replace("--no-", "--") for row in options_of(RUN)]
        self.assertEqual(sorted(names), sorted(USES), "the table of this test is not complete")
        for name, use in USES.items():
            with self.subTest(option=name):
                self.assertTrue(use or name in ELSEWHERE or name == "--json")
                prompt = [] if "--prompt" in use else ["-p", "A dog"]
                limit = [] if name == "--n-predict" else ["-n", "2"]
                result = run(*prompt, *limit, *use)
                self.assertEqual((result.code, "warning" in result.err), (0, False), result.err)
                self.assertTrue(result.out)

    def test_defaults_are_those_of_llama_cli(self):
        text = call(RUN, "--help").text.replace("\n" + " " * 30, " ")
        for name, value in {"--temperature T": "the model's, or 0.8", "--top-k N": "the model's, or 40",
                            "--top-p P": "the model's, or 0.95", "--min-p P": "the model's, or 0.05",
                            "--repeat-penalty X": "the model's, or 1", "--repeat-last-n N": "the model's, or 64", "--ctx-size N": "0",
                            "--batch-size N": "2048", "--ubatch-size N": "512", "--seed N": "-1",
                            "--n-predict N": "-1"}.items():
            line = next(line for line in text.splitlines() if name in line)
            self.assertTrue(line.endswith(f"[default: {value}]"), line)

    def test_forms(self):
        expected = run("-p", "A dog", "-n", "4", "--greedy", "-q").out
        for args in (["--prompt=A dog", "-n4", "--greedy", "-q"], ["-qp", "A dog", "--n-predict=4", "--temp", "0"],
                     ["-p", "A dog", "-n", "9", "-n", "4", "--greedy", "-q", "--"]):
            self.assertEqual(run(*args).out, expected, args)

    def test_byte_orders_have_two_names(self):
        texts = {}
        for names in (("A", "128/32", "auto"), ("B", "64/16"), ("C", "1x4")):
            for name in names:
                result = run("-p", "A dog", "-n", "8", "--greedy", "-q", "--i2s-layout", name)
                self.assertEqual(result.code, 0, result.err)
                texts.setdefault(names, set()).add(result.out)
        self.assertEqual([len(outs) for outs in texts.values()], [1, 1, 1])
        self.assertEqual(len(set.union(*texts.values())), 3)

    def test_help_and_version_do_nothing_else(self):
        result = call(RUN, "-p", "x", "--help", "-m", "/missing")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertRegex(call(RUN, "--version").text, r"^bitnet-run \d+\.\d+\.\d+ \(libbitnet \d+\.\d+\.\d+\)\n$")
        self.assertIn("[default: -1]", call(RUN, "-n", "3", "--help").text)


class Refused(unittest.TestCase):
    def refused(self, code, words, *args, model=MODEL, **more):
        result = call(RUN, "-m", model, *args, **more)
        self.assertEqual(result.code, code, result.err)
        self.assertEqual(result.out, b"")
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, result.err)
        for line in result.err.splitlines():
            self.assertTrue(line.startswith("bitnet-run: "), line)
        return result

    def test_values(self):
        for args, words in {
            ("-n", "abc"): "-n: 'abc' is not a whole number from -1 to 1000000000",
            ("-n", "-2"): "from -1", ("-n", ""): "'' is not", ("-n", "1.5"): "whole", ("-n", "0x10"): "whole",
            ("-n", " 1"): "whole", ("-t", "-1"): "from 0 to 1024", ("-c", "99999999999999999999"): "whole number",
            ("--temp", "hot"): "'hot' is not a number", ("--temp", "nan"): "number", ("--temp", "inf"): "number",
            ("--temp", "0,8"): "'0,8'", ("--top-p", "1.5"): "from 0 to 1", ("--top-k", "-1"): "whole number from 0",
            ("--wait", "nap"): "not one of: sleep spin", ("--color=red",): "auto always never",
            ("--i2s-layout", "d"): "128/32 64/16 1x4 A B C", ("--log-probs", "65"): "to 64", ("-n",): "needs a value",
            ("--greedy=1",): "takes no value", ("text",): "'text': unexpected argument",
            ("-m", MODEL, "--", "-p"): "'-p': unexpected", ("-n", "\x1b[2J"): "'?[2J'",
        }.items():
            with self.subTest(args=args):
                self.refused(2, [words, "--help"], *args)

    def test_unknown_options_name_the_nearest(self):
        for name, nearest in {"--temperatur": "--temp", "--promt": "--prompt", "--thread": "--threads",
                              "--list-device": "--list-devices", "-zcnv": "-cnv", "--modle": "--model",
                              "--no-escap": "--escape", "--verison": "--version", "--jsno": "--json"}.items():
            with self.subTest(option=name):
                self.assertRegex(self.refused(2, "unknown option", name).err, rf"nearest is {nearest}\w*\n")
        self.refused(2, "-z: unknown option", "-z")
        self.refused(2, "-z: unknown option", "-vz")

    def test_options_of_llama_cli(self):
        for name in LLAMA:
            with self.subTest(option=name):
                result = self.refused(2, f"{name}: ", name, "1")
                self.assertNotIn("unknown option", result.err)

    def test_what_does_not_go_together(self):
        self.refused(2, "one prompt", "-p", "a", "-f", __file__)
        self.refused(2, "-cnv", "-sys", "a", "-no-cnv")
        self.refused(2, "-cnv", "-st", "-no-cnv")
        self.refused(2, "--perplexity", "--perplexity", __file__, "-p", "a")
        self.refused(2, "-v and -q", "-v", "-q")
        self.refused(2, "no chat template", "-cnv", "-p", "a")

    def test_models(self):
        self.refused(2, "No such file", "-p", "a", model="/missing/model.gguf")
        self.refused(2, "directory", "-p", "a", model=DATA)
        self.refused(2, ["no such model", "looked in"], "-p", "a", model="missing")
        self.refused(2, ["huggingface.co/microsoft/bitnet-b1.58-2B-4T-gguf",
                         "4221b252fdd5fd25e15847adfeb5ee88886506ba50b8a34548374492884c2162"], "-p", "a", model="2b4t")
        with open(MODEL, "rb") as file:
            data = file.read()
        for n in (0, 3, 4, 20, 1000, 60000, len(data) - 1):
            self.refused(3, "cut.gguf: ", "-p", "a", model=write("cut.gguf", data[:n]))
        self.refused(3, "text.gguf: ", "-p", "a", model=write("text.gguf", b"Once upon a time\n" * 100))

    def test_devices(self):
        self.refused(4, ["gpu7", "cpu", "--list-devices"], "-p", "a", "-d", "gpu7")
        self.refused(2, "scalar", "-p", "a", "--isa", "avx1024")
        self.refused(4, "", "-p", "a", env={"BITNET_DEVICE": "gpu7"})
        self.assertEqual(run("-p", "a", "-n", "1", "-d", "cpu", env={"BITNET_DEVICE": "gpu7"}).code, 0)

    def test_long_prompt_names_the_context_it_needs(self):
        for args in (["-n", "8"], []):
            result = self.refused(2, "use -c ", "-c", "5", "-p", "one two three four five six", *args)
            needed = int(re.search(r"use -c (\d+)", result.err).group(1))
            self.assertEqual(run("-c", needed, "-p", "one two three four five six", *args).code, 0)

    @unittest.skipIf(HAVE_JSON, "built with jansson")
    def test_json_without_jansson(self):
        self.refused(2, "jansson", "-p", "a", "--json")


class Prompts(unittest.TestCase):
    def setUp(self):
        self.expected = run("-p", "A dog", "-n", "6", "--greedy").out
        self.assertTrue(self.expected.startswith(b"A dog"))

    def same(self, *args, **more):
        self.assertEqual(run(*args, "-n", "6", "--greedy", **more).out, self.expected)

    def test_places(self):
        self.same(stdin=b"A dog\n")
        self.same("-p", "-", stdin=b"A dog")
        self.same("-f", "-", stdin=b"A dog")
        self.same("-f", write("prompt.txt", b"A dog\n"))
        self.same("-p", "A dog", stdin=b"A cat")

    def test_missing_file(self):
        result = run("-f", "/missing/prompt.txt")
        self.assertEqual((result.code, result.out), (2, b""))
        self.assertIn("/missing/prompt.txt: No such file", result.err)
        self.assertEqual(run("-f", DATA).code, 2)

    def test_escapes(self):
        self.assertEqual(run("-p", r"a\nb\t\x41\q\\", "-n", "0").out, b"a\nb\tA\\q\\\n")
        self.assertEqual(run("-p", r"a\nb", "-n", "0", "--no-escape").out, b"a\\nb\n")
        self.assertEqual(run("-n", "0", stdin=rb"a\nb").out, b"a\\nb\n")

    def test_no_prompt_is_a_story(self):
        for args in ([], ["-m", "stories"]):
            result = call(RUN, *args, "-n", "4", "--greedy", cwd=scratch.name,
                          env={"BITNET_MODELS": f"/missing:{os.path.dirname(MODEL)}"})
            self.assertEqual((result.code, result.text[:16]), (0, "Once upon a time"), result.err)

    def test_display(self):
        hidden = run("-p", "A dog", "-n", "6", "--greedy", "--no-display-prompt").out
        self.assertEqual(b"A dog" + hidden, self.expected)
        coloured = run("-p", "A dog", "-n", "6", "--greedy", "--color").out
        self.assertEqual(re.sub(rb"\x1b\[\d*m", b"", coloured), self.expected)
        self.assertNotEqual(coloured, self.expected)


class Streams(unittest.TestCase):
    def test_stdout_has_the_text_only(self):
        plain = run("-p", "A dog", "-n", "6", "--seed", "3")
        self.assertIn("tokens/s", plain.err)
        self.assertIn("seed 3", plain.err)
        self.assertEqual(len(plain.err.splitlines()), 1)
        self.assertRegex(plain.err, r"^prompt 3 tokens, [\d.]+ tokens/s; decode 6 tokens, [\d.]+ tokens/s; first token "
                                    r"[\d.]+ ms; cpu \w+, \d+ threads?; memory \d+ MiB( \(\d+ anonymous, \d+ of files\))?; seed 3\n$")
        for args in (["-v"], ["--log", "debug"], ["--log-probs", "2"], ["-q"]):
            self.assertEqual(run("-p", "A dog", "-n", "6", "--seed", "3", *args).out, plain.out)
        self.assertEqual(run("-p", "A dog", "-n", "6", "-q").err, "")

    def test_random_seed_is_printed_and_gives_the_same_text(self):
        first = run("-p", "A dog", "-n", "20")
        seed = re.search(r"seed (\d+)", first.err).group(1)
        self.assertEqual(run("-p", "A dog", "-n", "20", "-s", seed).out, first.out)

    def test_reader_that_goes_away(self):
        with subprocess.Popen([RUN, "-m", MODEL, "-p", "A dog", "--ignore-eos"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
            process.stdout.read(1)
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.wait(60), 141)

    def test_stdout_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([RUN, "-m", MODEL, "-p", "A dog", "-n", "3"], stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, env=environment(), timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (5, b"bitnet-run: standard output: No space left on device\n"))

    def test_closed_streams(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            done = subprocess.run(["sh", "-c", f'"$0" -m "$1" -p a -n 1 {closed}', RUN, MODEL], env=environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
            self.assertEqual(done.returncode, 2 if ">&-" in closed.replace("2>&-", "") else 0, (closed, done.stderr))


class Devices(unittest.TestCase):
    def test_list(self):
        lines = call(RUN, "--list-devices").text.splitlines()
        self.assertEqual([line.split()[:3] for line in lines if line.split()[1] in ("cpu", "null")],
                         [["cpu", "cpu", "ready"], ["null", "null", "ready"]])

    @needs_json
    def test_json(self):
        listed = call(RUN, "--list-devices", "--json").json
        self.assertEqual(listed["schema"], "bitnet-run-devices/1")
        self.assertEqual([d["driver"] for d in listed["devices"]][-1], "null")
        self.assertTrue(all(d["state"] == "ready" or d["reason"] for d in listed["devices"]))


main()
