"""bitnet-doctor on machines with one thing wrong each."""
from cli import *  # noqa: F403
import machines

DOCTOR = os.environ["BITNET_TEST_DOCTOR"]
PROBE = os.environ["BITNET_TEST_PROBE"]
FAKES = os.environ["BITNET_TEST_FAKES"]
GRADES = {"ok": 0, "degraded": 10, "critical": 11}


def threads():
    """Threads that this process may use, as the library counts them."""
    listed = call(os.environ["BITNET_TEST_DEVICES"], "--api", "none").text
    return int(re.search(r", (\d+) of \d+ threads", listed).group(1))


@needs_json
class Doctor(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(dir=scratch.name)
        self.machine = machines.Machine(self.root, threads=threads())
        self.env = {"BITNET_SYSROOT": self.root, "BITNET_PROBE": PROBE, "BITNET_CACHE_DIR": scratch.name,
                    "LD_LIBRARY_PATH": FAKES}

    def examine(self, *args, health=None):
        """The checks by name; the whole is what the worst of them is."""
        result = call(DOCTOR, "--json", *args, env=self.env)
        self.assertEqual(result.err, "")
        answer = result.json
        self.assertEqual(answer["schema"], "bitnet-doctor/1")
        for check in answer["checks"]:
            self.assertEqual(set(check), {"name", "health", "value", "reason", "mend"})
            good = check["health"] == "ok"
            self.assertEqual((good, good), (check["reason"] == "", check["mend"] == ""), check)
        worst = max((check["health"] for check in answer["checks"]), key=GRADES.get)
        self.assertEqual((answer["health"], result.code), (worst, GRADES[worst]), answer)
        if health:
            self.assertEqual(worst, health, [check for check in answer["checks"] if check["health"] != "ok"])
        return {check["name"]: check for check in answer["checks"]}

    def assert_only(self, name, health, *args):
        """This check has this grade, all others are ok."""
        checks = self.examine(*args)
        self.assertEqual({check["name"]: check["health"] for check in checks.values() if check["health"] != "ok"},
                         {name: health})
        return checks[name]

    def test_fit(self):
        checks = self.examine(health="ok")
        self.assertEqual(list(checks)[:7], ["device", "memory", "cache", "cpu", "load", "governor", "huge_pages"])

    def test_model(self):
        checks = self.examine("-m", MODEL, health="ok" if HAVE_PCRE2 else None)
        if HAVE_PCRE2:
            self.assertIn("bitnet-b1.58", checks["model"]["value"])

    @unittest.skipUnless(HAVE_PCRE2, "built without PCRE2")
    def test_context(self):
        check = self.assert_only("model", "degraded", "-m", MODEL, "-c", 100000)
        self.assertIn("the model was trained for", check["reason"])

    def test_damaged_model(self):
        self.assert_only("model", "critical", "-m", write("damaged.gguf", b"GGUF\3\0\0\0"))

    def test_no_model(self):
        result = call(DOCTOR, "-m", "gone.gguf", env=self.env)
        self.assertEqual((result.code, result.out), (2, b""))

    def test_no_device(self):
        self.assertIn("no such device", self.assert_only("device", "critical", "-d", "gpu7")["reason"])

    def test_memory(self):
        self.machine.memory(1 << 20, 100 << 10)
        self.assert_only("memory", "critical")
        self.machine.memory(8 << 20, 900 << 10)
        self.assert_only("memory", "degraded")

    @unittest.skipUnless(HAVE_PCRE2, "built without PCRE2")
    def test_memory_of_model(self):
        """900 MiB are little for a machine, and plenty for the default model."""
        self.machine.memory(8 << 20, 900 << 10)
        self.assertEqual(self.examine("-m", MODEL)["memory"]["health"], "ok")
        self.machine.memory(8 << 20, 60 << 10)
        self.assertEqual(self.examine("-m", MODEL)["memory"]["health"], "critical")

    def test_huge_pages(self):
        self.machine.file("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n")
        self.assertIn("madvise", self.assert_only("huge_pages", "degraded")["mend"])

    def test_governor(self):
        self.machine.governor("powersave", "acpi-cpufreq")
        self.assert_only("governor", "degraded")
        self.machine.governor("powersave", "intel_pstate")
        self.examine(health="ok")

    def test_load(self):
        self.machine.file("proc/loadavg", "999.00 1.00 1.00 1/100 1\n")
        self.assert_only("load", "degraded")

    def test_quota(self):
        self.machine = machines.Machine(tempfile.mkdtemp(dir=scratch.name), threads=threads() + 2)
        self.env["BITNET_SYSROOT"] = self.machine.root
        self.assertIn(f"of {threads() + 2} threads", self.assert_only("cpu", "degraded")["reason"])

    def test_cache(self):
        self.env["BITNET_CACHE_DIR"] = "/proc/bitnet"
        self.assert_only("cache", "degraded")
        del self.env["BITNET_CACHE_DIR"]
        self.assertIn("/.cache/bitnet", self.examine(health="ok")["cache"]["value"])

    def test_gpu(self):
        """A crash of a driver is told, a closed node too; what is not installed counts as long as nothing else works."""
        machines.amd_discrete(self.machine)
        self.env["BITNET_TEST_FAKE_VULKAN"] = "crash"
        checks = self.examine(health="degraded")
        self.assertIn("SIGSEGV", checks["gpu0/vulkan"]["reason"])
        self.assertEqual(checks["gpu0/drm"]["health"], "ok")
        self.assertEqual(checks["gpu0/hip"]["health"], "degraded")

    def test_watchdog(self):
        machines.amd_discrete(self.machine)
        self.assertNotIn("gpu0/watchdog", self.examine())
        self.machine.file("proc/sys/kernel/osrelease", "7.0.1-amd64\n")
        self.assertEqual(self.examine()["gpu0/watchdog"]["health"], "degraded")
        self.machine.file("sys/module/amdgpu/parameters/lockup_timeout", "10000,60000\n")
        self.assertEqual(self.examine()["gpu0/watchdog"]["health"], "ok")

    def test_text(self):
        self.machine.file("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n")
        result = call(DOCTOR, "-q", env=self.env)
        self.assertEqual(result.code, 10)
        self.assertEqual(len(result.text.splitlines()), 2)
        self.assertRegex(result.text, r"^degraded  huge_pages +always madvise \[never\]: transparent huge pages are off.*\n +echo")
        self.assertGreater(len(call(DOCTOR, env=self.env).text.splitlines()), 7)


main(needs_model=False)
