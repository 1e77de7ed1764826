"""bitnet-convert: what it makes runs, and what it refuses leaves nothing behind."""
import signal
import stat
import time

from cli import *  # noqa: F403

CONVERT = sys.argv.pop(1)


def convert(*args, **more):
    return call(CONVERT, *args, **more)


def story(path, *args):
    result = call(RUN, "-m", path, "-p", "The old dog", "-n", "24", "--greedy", "--ignore-eos", *args)
    assert result.code == 0, result.err
    return result.out


class Synthetic(unittest.TestCase):
    def test_orders_and_families_run(self):
        texts = {}
        for family in ("bitnet-b1.58", "bitnet-25", "bitnet"):
            for order in ("auto", "A", "128/32", "B", "64/16", "C", "1x4"):
                path = path_of("order.gguf")
                result = convert("--synthetic", "tiny", "--arch", family, "--i2s-layout", order, "-f", path)
                self.assertEqual((result.code, result.out), (0, b""))
                self.assertIn("tiny", result.err)
                texts.setdefault(family, set()).add(story(path))
        for family, made in texts.items():
            self.assertEqual(len(made), 1, family)  # the same weights in each order
        self.assertEqual(len(set.union(*texts.values())), 3)  # but families differ

    def test_order_matters(self):
        path = path_of("b.gguf")
        self.assertEqual(convert("--synthetic=tiny", "--i2s-layout=B", "-f", path).code, 0)
        self.assertNotEqual(story(path), story(path, "--i2s-layout", "128/32"))
        self.assertEqual(story(path), story(path, "--i2s-layout", "64/16"))

    def test_seed(self):
        made = []
        for name, seed in (("s1", "1"), ("s1b", "1"), ("s2", "2")):
            self.assertEqual(convert("--synthetic", "tiny", "--seed", seed, path_of(name)).code, 0)
            with open(path_of(name), "rb") as file:
                made.append(file.read())
        self.assertEqual(made[0], made[1])
        self.assertNotEqual(made[0], made[2])

    def test_umask(self):
        path = path_of("mode.gguf")
        self.assertEqual(convert("--synthetic", "tiny", path, umask=0o027).code, 0)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)

    def test_quiet(self):
        result = convert("--synthetic", "tiny", "-q", path_of("quiet.gguf"))
        self.assertEqual((result.code, result.out, result.err), (0, b"", ""))


class Refusals(unittest.TestCase):
    def test_usage(self):
        path = path_of("nothing.gguf")
        for args, said in (([], "nothing to make"), (["--synthetic", "huge", path], "huge"),
                           (["--synthetic", "tiny"], "output file is missing"),
                           (["--synthetic", "tiny", "--arch", "llama", path], "llama"),
                           (["--synthetic", "2b4t", "--arch", "bitnet", path], "bitnet-b1.58"),
                           (["--synthetic", "tiny", "--i2s-layout", "D", path], "D"),
                           (["--synthetic", "tiny", path, "another"], "another"),
                           (["--synthetic", "tiny", path_of("missing/x.gguf")], "missing/x.gguf")):
            result = convert(*args)
            self.assertEqual((result.code, result.out), (2, b""), args)
            self.assertIn(said, result.err)
        self.assertFalse(os.path.exists(path))

    def test_existing_file(self):
        path = path_of("kept.gguf")
        with open(path, "w", encoding="ascii") as file:
            file.write("mine")
        self.assertEqual(convert("--synthetic", "tiny", path).code, 2)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "mine")
        self.assertEqual(convert("--synthetic", "tiny", "--force", path).code, 0)
        self.assertGreater(os.stat(path).st_size, 100000)
        self.assertEqual(convert("--synthetic", "tiny", "--force", scratch.name).code, 2)

    def test_interrupt_leaves_nothing(self):
        folder = path_of("interrupted")
        os.mkdir(folder)
        with subprocess.Popen([CONVERT, "--synthetic", "small", os.path.join(folder, "x.gguf")], env=environment(),
                              stderr=subprocess.PIPE) as process:
            while not os.listdir(folder) and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGINT)
            err = process.communicate(timeout=60)[1]
        if process.returncode == 0:
            self.skipTest("it was done before the signal came")
        self.assertEqual(process.returncode, 130)
        self.assertIn(b"interrupted", err)
        self.assertEqual(os.listdir(folder), [])


main()
