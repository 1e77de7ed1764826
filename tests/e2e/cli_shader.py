"""bitnet-shader: what it lists, compiles, checks and times; mistakes in shaders and in calls."""
import shutil

from cli import *  # noqa: F403

SHADER, SOURCE = sys.argv.pop(), os.environ["BITNET_TEST_SHADERS"]
HERE = "vulkan" in DRIVERS and call(SHADER, "check", "copy").code != 4


def shader(*args, **more):
    return call(SHADER, *args, **more)


@unittest.skipUnless("vulkan" in DRIVERS, "no Vulkan driver")
class Workshop(unittest.TestCase):
    def test_list(self):
        lines = shader("list", "ternary").text.splitlines()
        self.assertEqual(sum(line.startswith("ternary_fused_dot_subgroup ") for line in lines), 1)
        self.assertTrue(all("0:THREADS=64" in line and "1:LANES=8" in line for line in lines[1:]), lines)

    @needs_json
    def test_json(self):
        variants = shader("--json", "list", "ternary").json
        self.assertEqual(len(variants), len(shader("list", "ternary").text.splitlines()) - 1)
        for entry in variants:
            self.assertEqual((entry["schema"], entry["kind"], entry["driver"]), ("bitnet-shader/1", "variant", "vulkan"))
            self.assertIn({"id": 0, "name": "THREADS", "default": 64, "values": [64]}, entry["constants"])
        for action in ("build", "watch", "disasm"):
            result = shader("--json", action, "norm")
            self.assertEqual((result.code, result.out, "--json" in result.err), (2, b"", True), action)

    @needs_json
    @unittest.skipUnless(HERE, "no Vulkan device")
    def test_json_on_a_device(self):
        checks = shader("--json", "check").json
        self.assertEqual(len(checks), shader("check").text.count(" ok: "))
        self.assertEqual({(entry["kind"], entry["ok"]) for entry in checks}, {("check", True)})
        times = shader("--json", "-r", "1", "bench", "norm").json
        self.assertEqual([(entry["shader"], entry["op"], entry["cols"]) for entry in times], [("norm", "norm", 2560)])
        for entry in times:
            self.assertAlmostEqual(entry["copy_share"], entry["gb_per_second"] / entry["copy_gb_per_second"], places=6)
            self.assertGreater(entry["seconds"], 0)
            self.assertGreaterEqual(entry["median_seconds"], entry["seconds"])

    @needs_json
    @unittest.skipUnless(HERE, "no Vulkan device")
    def test_shape(self):
        times = shader("--json", "-r", "1", "--shape", "96x256x3", "bench", "ternary_dot").json
        self.assertEqual([(entry["op"], entry["n"], entry["cols"], entry["rows"]) for entry in times],
                         [("matmul", 96, 256, 3), ("gate_up", 96, 256, 3)])
        times = shader("--json", "-r", "1", "--shape=64x128", "bench", "ternary_scaled_tiled").json
        self.assertEqual([(entry["shader"], entry["rows"]) for entry in times], [("ternary_scaled_tiled", 1)])

    def test_disasm(self):
        result = shader("disasm", "embed")
        self.assertEqual((result.code, "OpEntryPoint GLCompute" in result.text), (0, True), result.err)

    @unittest.skipUnless(HERE, "no Vulkan device")
    def test_check(self):
        result = shader("check")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertNotIn("WRONG", result.text)
        self.assertGreater(result.text.count(" ok: "), 8)

    @unittest.skipUnless(HERE, "no Vulkan device")
    def test_watch_and_use(self):
        with tempfile.TemporaryDirectory() as folder:
            source, out = os.path.join(folder, "shaders"), os.path.join(folder, "out")
            shutil.copytree(SOURCE, source)
            result = shader("-s", source, "-o", out, "-r", "1", "-c", "1", "watch", "norm")
            self.assertEqual(result.code, 0, result.err)
            self.assertRegex(result.text, r"norm 0x2560 x1 +\d+\.\d+ +\d+\.\d+ +\d+\.\d+ +\d+%")
            self.assertEqual(sorted(os.listdir(out)), ["norm.spv", "norm_subgroup.spv"])
            self.assertIn("   change", result.text)
            path = os.path.join(source, "glsl", "norm.comp")  # one that is wrong: the check finds it
            with open(path, encoding="utf-8") as file:
                text = file.read()
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace("p.norm.v[i], inverse)", "p.norm.v[i], 2.0 * inverse)"))
            self.assertEqual(shader("-s", source, "-o", out, "build", "norm").code, 0)
            result = shader("check", "norm", env={"BITNET_SHADER_DIR": out})
            self.assertEqual((result.code, "WRONG" in result.text), (1, True))

    def test_mistake_in_a_shader(self):
        with tempfile.TemporaryDirectory() as folder:
            source, out = os.path.join(folder, "shaders"), os.path.join(folder, "out")
            shutil.copytree(SOURCE, source)
            path = os.path.join(source, "glsl", "copy.comp")
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
            lines.insert(5, "int x = y;")
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join(lines))
            result = shader("-s", source, "-o", out, "build", "copy")
            self.assertEqual(result.code, 1)
            self.assertRegex(result.err, r"copy\.comp:6: 'y' : undeclared identifier")
            self.assertNotIn("ERROR:", result.err)

    def test_calls(self):
        for args, word in (((), "what to do"), (("fly",), "no such action"), (("list", "bogus"), "no such shader"),
                           (("disasm",), "which variant"), (("disasm", "tern"), "no such variant"),
                           (("--shape", "64", "bench"), "NxCOLS"), (("--shape", "64x0", "bench"), "NxCOLS"),
                           (("--shape", "64x64x513", "bench"), "512"), (("--shape", "64x64x2y", "bench"), "NxCOLS"),
                           (("--shape", "64x64", "check"), "for bench"), (("-s", "/nowhere", "build"), "--source"), (("-s", "/nowhere", "watch"), "--source")):
            result = shader(*args)
            self.assertEqual((result.code, word in result.err, result.text), (2, True, ""), (args, result.err))
        self.assertEqual(shader("-d", "bogus", "check").code, 4)


def change(path, old, new):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert old in text
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


class Portable(unittest.TestCase):
    def test_list(self):
        lines = shader("-d", "opencl", "list").text.splitlines()
        with open(os.path.join(SOURCE, "portable", "manifest.txt"), encoding="utf-8") as file:
            names = [line.split()[0] for line in file if line.strip() and not line.startswith("#") and "FOR=" not in line]
        self.assertEqual([line.split()[0] for line in lines[1:]], names)
        self.assertRegex(next(line for line in lines if line.startswith("ternary ")),
                         r" 0:THREADS=64 1:LANES=8 2:MODE=0\|1\|2 3:COLS 4:FEATURES 5:BATCH=1\|4$")
        self.assertEqual(shader("-d", "cuda", "list").out, shader("-d", "cpu/opencl", "list").out)

    @needs_json
    def test_json(self):
        (head,) = shader("--json", "-d", "opencl", "list", "head").json
        self.assertEqual((head["driver"], head["name"]), ("opencl", "head"))
        self.assertIn({"id": 2, "name": "LAYOUT", "default": 0, "values": [0, 1, 2]}, head["constants"])
        attention = shader("--json", "-d", "opencl", "list", "attention").json[0]
        self.assertIn({"id": 1, "name": "HEAD_DIM", "default": None, "values": []}, attention["constants"])

    def test_disasm(self):
        text = shader("-d", "opencl", "disasm", "copy").text
        self.assertIn("KERNEL copy(", text)
        self.assertNotIn("#include", text)
        self.assertEqual(shader("-d", "opencl", "disasm", "cop").code, 2)

    @unittest.skipUnless("cuda" in DRIVERS, "no clang")
    def test_code_of_clang(self):
        for args, instruction in ((("-d", "cuda"), "dp4a.s32.u32"), (("-d", "hip"), "v_dot4_i32_iu8"),
                                  (("-d", "hip", "--isa", "gfx906"), "v_dot4_i32_i8")):
            if args[1] not in DRIVERS:
                continue
            result = shader(*args, "-s", SOURCE, "disasm", "ternary_0_1")
            self.assertEqual((result.code, result.err), (0, ""))
            self.assertIn(instruction, result.text)
        result = shader("-d", "cuda", "-s", SOURCE, "disasm", "head")
        self.assertEqual((result.code, "head_0_0 head_0_1" in result.err, result.text), (2, True, ""))
        with tempfile.TemporaryDirectory() as folder:
            result = shader("-d", "cuda", "-s", SOURCE, "-o", folder, "build", "quantise")
            self.assertEqual((result.code, os.listdir(folder)), (0, ["quantise.ptx"]), result.err)
            with open(os.path.join(folder, "quantise.ptx"), encoding="utf-8") as file:
                self.assertEqual(re.findall(r"\.entry (\w+)", file.read()), ["quantise_1", "quantise_2"])

    def test_mistake(self):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "it's", "shaders")  # the shell sees a quote
            shutil.copytree(SOURCE, source)
            path = os.path.join(source, "portable", "copy.cl")
            change(path, "#include \"common.h\"\n", "#include \"common.h\"\n__constant int x = y;\n")
            with open(path, encoding="utf-8") as file:
                number = file.read().splitlines().index("__constant int x = y;") + 1
            result = shader("-s", source, "-o", folder, "-d", "opencl", "build", "copy")
            if "no clang" in result.err:
                self.skipTest("no clang")
            self.assertEqual((result.code, os.path.exists(os.path.join(folder, "copy.cl"))), (1, False))
            self.assertRegex(result.err, rf"shaders/portable/copy\.cl:{number}:\d+: error: use of undeclared identifier 'y'")

    @unittest.skipUnless("opencl" in DRIVERS, "no OpenCL device for tests")
    def test_on_a_device(self):
        result = shader("-d", "opencl", "check", "quantise", env=CL)
        self.assertEqual((result.code, " ok: " in result.text, result.err), (0, True, ""))
        with tempfile.TemporaryDirectory() as folder:
            source, out = os.path.join(folder, "shaders"), os.path.join(folder, "out")
            shutil.copytree(SOURCE, source)
            watch = ("-d", "opencl", "-s", source, "-o", out, "-r", "1", "-c", "1", "watch", "quantise")
            result = shader(*watch, env=CL)
            self.assertEqual((result.code, os.listdir(out)), (0, ["quantise.cl"]), result.err)
            self.assertRegex(result.text, r"quantise 0x6912 x1 +\d+\.\d+ +\d+\.\d+ +\d+\.\d+ +\d+%")
            change(os.path.join(source, "portable", "quantise.cl"), "if (skips(slot, op))", "if (true)")
            result = shader(*watch, env=CL)  # one that is wrong: the check finds it
            self.assertEqual((result.code, "WRONG" in result.text), (1, True), result.err)
            # One that only the device's compiler sees: file and line are named, and it is no failure of the device.
            change(os.path.join(out, "quantise.cl"), "if (true)", "nonsense;")
            result = shader("-d", "opencl", "check", "quantise", env={**CL, "BITNET_SHADER_DIR": out})
            self.assertEqual(result.code, 1)
            self.assertRegex(result.err, r"shaders/portable/quantise\.cl:\d+:\d+: .*nonsense")

    def test_calls(self):
        for args, word in ((("-d", "gpu0", "list"), "vulkan opencl cuda hip" if "vulkan" in DRIVERS else "opencl"),
                           (("-d", "cuda", "watch"), "takes no kernels from a folder"),
                           (("-d", "opencl", "list", "norm_subgroup"), "-d opencl list shows them"),
                           (("-d", "opencl", "-s", "/nowhere", "watch"), "/nowhere/portable")):
            result = shader(*args)
            self.assertEqual((result.code, word in result.err, result.text), (2, True, ""), (args, result.err))


unittest.main(verbosity=2)
