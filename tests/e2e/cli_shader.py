"""bitnet-shader: what it lists, compiles, checks and times; mistakes in shaders and in calls."""
import shutil

from cli import *  # noqa: F403

SHADER, SOURCE = sys.argv.pop(), os.environ["BITNET_TEST_SHADERS"]
HERE = call(SHADER, "check", "copy").code != 4


def shader(*args, **more):
    return call(SHADER, *args, **more)


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
            self.assertEqual((entry["schema"], entry["kind"]), ("bitnet-shader/1", "variant"))
            self.assertIn({"id": 0, "name": "THREADS", "default": 64}, entry["constants"])
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
            self.assertRegex(result.text, r"norm 0x2560 x1 +\d+\.\d+ +\d+\.\d+ +\d+%")
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
                           (("-s", "/nowhere", "build"), "--source"), (("-s", "/nowhere", "watch"), "--source")):
            result = shader(*args)
            self.assertEqual((result.code, word in result.err, result.text), (2, True, ""), (args, result.err))
        self.assertEqual(shader("-d", "bogus", "check").code, 4)


unittest.main(verbosity=2)
