"""bitnet-devices on a zoo of machines, each with what it must say of it."""
import shutil

from cli import *  # noqa: F403
import machines

DEVICES = os.environ["BITNET_TEST_DEVICES"]
PROBE = os.environ["BITNET_TEST_PROBE"]
FAKES = os.environ["BITNET_TEST_FAKES"]
STATES = "ready missing_library permission_denied too_old crashed timed_out faulted disabled poisoned".split()
TYPES = {"id": str, "kind": str, "name": str, "apis": list, "unplaced": bool, "memory_shared": bool}
NULLABLE = {"address": str, "partition": str, "uuid": str, "node": str, "driver": str, "driver_version": str, "isa": str,
            "pci_vendor": int, "pci_device": int, "numa_node": int, "load_percent": int, "memory_total": int,
            "memory_free": int, "link": dict, "cpu": dict}
API_TYPES = {"name": str, "state": str, "reason": str, "mend": str, "usable": bool}


def devices(*args, root=None, **env):
    if root:
        env["BITNET_SYSROOT"] = root
    return call(DEVICES, *args, env={"BITNET_PROBE": PROBE, **env})


class Survey(unittest.TestCase):
    """Checks of every answer, and short ways to its parts."""

    def check_schema(self, answer):
        self.assertEqual(answer["schema"], "bitnet-devices/1")
        self.assertEqual(answer["devices"][0]["kind"], "cpu")
        ids = [device["id"] for device in answer["devices"]]
        self.assertEqual(len(ids), len(set(ids)), ids)
        for device in answer["devices"]:
            for key, kind in TYPES.items():
                self.assertIs(type(device[key]), kind, key)
            for key, kind in NULLABLE.items():
                self.assertIn(type(device[key]), (kind, type(None)), key)
            self.assertIn(device["kind"], ("cpu", "gpu", "npu"))
            self.assertTrue(device["id"].startswith(device["kind"]))
            self.assertTrue(device["name"].isprintable() and device["name"], device["name"])
        for api in [api for device in answer["devices"] for api in device["apis"]] + answer["apis"]:
            for key, kind in API_TYPES.items():
                self.assertIs(type(api[key]), kind, key)
            self.assertIn(api["state"], STATES)
            ready = api["state"] == "ready"
            self.assertEqual(ready, api["reason"] == "", api)
            self.assertEqual(ready, api["mend"] == "", api)
            self.assertFalse(api["usable"] and not ready)

    def ask(self, *args, root=None, **env):
        result = devices("--json", *args, root=root, **env)
        self.assertEqual((result.code, result.err), (0, ""))
        self.check_schema(result.json)
        return result.json

    def machine(self, name, *args, **env):
        root = path_of(f"{name}-{len(os.listdir(scratch.name))}")
        machines.make(name, root)
        return {device["id"]: device for device in self.ask(*(args or ("--api", "none")), root=root, **env)["devices"]}

    def api(self, device, name):
        rows = [api for api in device["apis"] if api["name"] == name]
        self.assertEqual(len(rows), 1, (device["id"], name, [api["name"] for api in device["apis"]]))
        return rows[0]

    def assert_fields(self, device, **fields):
        self.assertEqual({key: device[key] for key in fields}, fields)


@needs_json
class Zoo(Survey):
    """What the kernel's files say, no API asked."""

    def test_amd_discrete(self):
        found = self.machine("amd_discrete")
        self.assertEqual(list(found), ["cpu", "gpu0"])
        self.assert_fields(found["cpu"], name="Test CPU", memory_total=65536000 * 1024, memory_free=60000000 * 1024)
        self.assert_fields(found["cpu"]["cpu"], threads_total=4, cores=2, packages=1, numa_nodes=1)
        self.assertEqual([(c["level"], c["count"], c["bytes"]) for c in found["cpu"]["cpu"]["caches"]],
                         [(1, 2, 32 << 10), (2, 2, 1 << 20), (3, 1, 32 << 20)])
        self.assert_fields(found["gpu0"], name="AMD Radeon RX 7900 XTX", address="pci:0000:03:00.0", driver="amdgpu",
                           isa="gfx1100", uuid="GPU-123456789abcdef0", node="/dev/dri/renderD128", numa_node=0, load_percent=7,
                           memory_total=24 << 30, memory_free=23 << 30, memory_shared=False, temperature_celsius=44,
                           power_milliwatts=31000000 // 1000, clock_mhz=500, memory_clock_mhz=1249, limited_by=None)
        self.assertEqual(found["gpu0"]["link"], {"width": 8, "width_max": 16, "megatransfers": 16000,
                                                 "megatransfers_max": 16000})
        self.assertEqual([(api["name"], api["state"]) for api in found["gpu0"]["apis"]], [("drm", "ready"), ("kfd", "ready")])

    def test_amd_apu_with_npu(self):
        found = self.machine("amd_apu_npu")
        self.assertEqual(list(found), ["cpu", "gpu0", "npu0"])
        self.assert_fields(found["gpu0"], name="AMD Radeon 890M Graphics", address="pci:0000:c1:00.0")
        self.assert_fields(found["npu0"], name="AMD Strix/Krackan/Strix Halo Neural Processing Unit", driver="amdxdna",
                           address="pci:0000:c2:00.1", node="/dev/accel/accel0", memory_shared=True)
        self.assertEqual(self.api(found["npu0"], "accel")["state"], "ready")

    def test_intel_with_npu(self):
        found = self.machine("intel_npu")
        self.assertEqual(list(found), ["cpu", "gpu0", "npu0"])
        self.assert_fields(found["gpu0"], name="Intel Meteor Lake-P [Intel Arc Graphics]", driver="i915")
        self.assert_fields(found["npu0"], name="Intel Meteor Lake NPU", driver="intel_vpu", node="/dev/accel/accel0")

    def test_nvidia_optimus(self):
        found = self.machine("nvidia_optimus")
        self.assertEqual(list(found), ["cpu", "gpu0", "gpu1"])
        self.assert_fields(found["gpu0"], name="Intel Raptor Lake-P [Iris Xe Graphics]", address="pci:0000:00:02.0")
        self.assert_fields(found["gpu1"], name="NVIDIA GeForce RTX 4060 Laptop GPU", address="pci:0000:01:00.0",
                           uuid="GPU-aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", driver="nvidia", driver_version="550.54.14",
                           node="/dev/nvidia0")

    def test_server(self):
        found = self.machine("server")
        self.assertEqual(list(found), ["cpu"] + [f"gpu{i}" for i in range(8)])
        self.assertEqual({device["name"] for id, device in found.items() if id != "cpu"}, {"NVIDIA H200"})
        self.assertEqual([found[f"gpu{i}"]["numa_node"] for i in range(8)], [0] * 4 + [1] * 4)

    def test_partitions(self):
        found = self.machine("partitions")
        self.assertEqual(list(found), ["cpu"] + [f"gpu0.{i}" for i in range(8)])
        for i in range(8):
            self.assert_fields(found[f"gpu0.{i}"], partition=f"xcp {i}", node=f"/dev/dri/renderD{128 + i}", isa="gfx942",
                               address="pci:0000:05:00.0", uuid=f"GPU-{0x1000 + i:016x}")

    def test_rk3588(self):
        found = self.machine("rk3588")
        self.assertEqual(list(found), ["cpu", "gpu0", "npu0"])
        self.assert_fields(found["cpu"], name="Radxa ROCK 5B")
        self.assert_fields(found["gpu0"], address="platform:fb000000.gpu", driver="panthor", memory_shared=True)
        self.assert_fields(found["npu0"], address="platform:fdab0000.npu", driver="rocket", node="/dev/accel/accel0")

    def test_snapdragon(self):
        found = self.machine("snapdragon")
        self.assertEqual(list(found), ["cpu", "gpu0", "npu0"])
        self.assert_fields(found["npu0"], name="Qualcomm Hexagon (cdsp)", node="/dev/fastrpc-cdsp", driver="fastrpc")

    def test_wsl2(self):
        found = self.machine("wsl2")
        self.assertEqual(list(found), ["cpu", "gpu0"])
        self.assert_fields(found["gpu0"], driver="dxgkrnl", node="/dev/dxg")

    def test_container(self):
        gpu = self.machine("container")["gpu0"]
        for name, node in (("drm", "/dev/dri/renderD128"), ("kfd", "/dev/kfd")):
            row = self.api(gpu, name)
            self.assertEqual(row["state"], "permission_denied")
            self.assertIn(f"{node} is not there", row["reason"])
            self.assertIn(f"--device {node}", row["mend"])

    def test_no_permission(self):
        root = path_of("no-permission")
        machines.make("no_permission", root)
        other = {}
        if os.geteuid() == 0:  # root may open everything
            os.chmod(scratch.name, 0o755)
            other = {"user": 65534}
        try:
            result = call(DEVICES, "--json", "--api", "none", env={"BITNET_SYSROOT": root}, **other)
        except PermissionError:
            self.skipTest("root may open everything, and the build folder is closed to other users")
        self.check_schema(result.json)
        gpu, npu = result.json["devices"][1:]
        for device, name in ((gpu, "drm"), (npu, "accel")):
            row = self.api(device, name)
            self.assertEqual(row["state"], "permission_denied")
            self.assertIn("Permission denied", row["reason"])
            self.assertIn("usermod -aG render", row["mend"])

    def test_no_driver(self):
        found = self.machine("no_driver")
        for id, name, mend in (("gpu0", "drm", "nvidia-driver"), ("npu0", "accel", "modprobe amdxdna")):
            self.assert_fields(found[id], driver=None, node=None)
            row = self.api(found[id], name)
            self.assertEqual(row["state"], "missing_library")
            self.assertIn(mend, row["mend"])

    def test_nothing(self):
        self.assertEqual(list(self.machine("nothing")), ["cpu"])

    def test_strange(self):
        found = self.machine("strange")
        self.assert_fields(found["gpu0"], link=None, numa_node=None, load_percent=None)
        self.assertNotIn("\x1b", found["cpu"]["name"])

    def test_empty_root(self):
        self.assertEqual([device["id"] for device in self.ask("--api", "none", root=path_of("gone"))["devices"]], ["cpu"])


@needs_json
class ThisMachine(Survey):
    def test(self):
        """Whatever it is: one CPU, and what this library can use."""
        answer = self.ask()
        cpu = answer["devices"][0]
        self.assertEqual(self.api(cpu, "cpu")["state"], "ready")
        self.assertTrue(self.api(cpu, "cpu")["usable"])
        self.assertGreaterEqual(cpu["cpu"]["threads"], 1)
        self.assertEqual([device["id"] for device in answer["devices"]].count("cpu"), 1)
        names = [api["name"] for api in answer["apis"]]
        self.assertEqual(names, "bitnet drm hwloc vulkan opencl cuda nvml hip hsa level-zero".split())

    def test_three_ways(self):
        """Software devices of Vulkan and OpenCL are ways into the CPU."""
        answer = self.ask("--api", "bitnet,vulkan,opencl")
        cpu = answer["devices"][0]
        ways = {api["name"]: api for api in cpu["apis"]}
        missing = [f"{api['name']}: {api['reason']}" for api in answer["apis"]
                   if api["name"] in ("vulkan", "opencl") and api["state"] != "ready"]
        if missing or len(answer["devices"]) > 1:
            self.skipTest("needs lavapipe and PoCL, and no GPU: " + "; ".join(missing))
        self.assertEqual(set(ways), {"cpu", "vulkan", "opencl"})
        self.assertEqual(ways["vulkan"]["driver"], "llvmpipe")
        self.assertEqual(ways["opencl"]["driver"], "Portable Computing Language")

    def test_umockdev(self):
        """libdrm and our own walk agree on a GPU that umockdev plays."""
        if not shutil.which("umockdev-run"):
            self.skipTest("no umockdev")
        machine = machines.Machine(path_of("mocked"))
        machines.amd_discrete(machine)
        fixture = write("amd.umockdev", machines.umockdev(machine).encode())
        result = call(shutil.which("umockdev-run"), "-d", fixture, "--", DEVICES, "--json", "--api", "bitnet,drm",
                      env={"BITNET_PROBE": PROBE})
        self.assertEqual(result.code, 0, result.err)
        self.check_schema(result.json)
        gpus = [device for device in result.json["devices"] if device["kind"] == "gpu"]
        self.assertEqual([gpu["address"] for gpu in gpus], ["pci:0000:03:00.0"])
        self.assertEqual(self.api(gpus[0], "drm")["state"], "ready")


@needs_json
class Fakes(Survey):
    """Libraries of vendors that report, fail, crash and hang."""

    def fake(self, machine, *args, apis=None, **fakes):
        """The devices of a machine, and the APIs as a whole."""
        root = path_of(f"fake-{len(os.listdir(scratch.name))}")
        machines.make(machine, root)
        env = {f"BITNET_TEST_FAKE_{name.upper()}": text for name, text in fakes.items()}
        answer = self.ask("--api", apis or "vulkan,opencl,cuda,nvml,hip,hsa,level-zero", *args, root=root, LD_LIBRARY_PATH=FAKES,
                          **env)
        return {device["id"]: device for device in answer["devices"]}, {api["name"]: api for api in answer["apis"]}

    def states(self, device):
        return {api["name"]: api["state"] for api in device["apis"]}

    def test_nvidia(self):
        """One GPU through five doors: CUDA and NVML by address and UUID, OpenCL by address, Vulkan by render node."""
        uuid = "GPU-aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"
        one = f"00000000:01:00.0,NVIDIA GeForce RTX 4060 Laptop GPU,{uuid},8585216000"
        found, apis = self.fake("nvidia_optimus", cuda="ok;" + one, nvml="ok;" + one, opencl="ok;" + one,
                                vulkan=f"ok;226:129,NVIDIA RTX,{uuid},8585216000;226:128,Intel Iris,11111111,1000")
        self.assertEqual(list(found), ["cpu", "gpu0", "gpu1"])
        self.assertEqual(self.states(found["gpu1"]),
                         dict.fromkeys(("drm", "nvidia", "vulkan", "opencl", "cuda", "nvml"), "ready"))
        self.assert_fields(found["gpu1"], isa="sm_90", load_percent=42, memory_total=8585216000, memory_free=6438912000,
                           temperature_celsius=61, power_milliwatts=250000, clock_mhz=1980, memory_clock_mhz=2619,
                           limited_by="power and heat")
        self.assertEqual(self.api(found["gpu0"], "vulkan")["label"], "Intel Iris")
        self.assertEqual(self.api(found["gpu0"], "opencl")["state"], "missing_library")
        self.assertIn("no installed opencl driver names this device", self.api(found["gpu0"], "opencl")["reason"])
        self.assertEqual(self.api(found["gpu0"], "level-zero")["state"], "missing_library")
        self.assertNotIn("cuda", self.states(found["gpu0"]))

    def test_uuid_alone(self):
        """A device without an address joins by its UUID."""
        found, _ = self.fake("nvidia_optimus", vulkan="ok;-,NVIDIA RTX,AAAAAAAA000011112222BBBBBBBBBBBB,1")
        self.assertEqual(list(found), ["cpu", "gpu0", "gpu1"])
        self.assertEqual(self.api(found["gpu1"], "vulkan")["state"], "ready")

    def test_mig(self):
        """Eight GPUs, the first cut in two: ten entries."""
        gpus = [f"00000000:{0x10 + 0x11 * i:02X}:00.0,NVIDIA H200,GPU-0000000{i}-0000-0000-0000-000000000000,151000000000"
                for i in range(8)]
        parts = [f"00000000:10:00.0,NVIDIA H200 MIG 1g.18gb,MIG-aaaaaaaa-0000-0000-0000-00000000000{i},18000000000"
                 for i in range(2)]
        nvml = ";".join(["ok", gpus[0], *parts, *gpus[1:]])
        found, _ = self.fake("server", nvml=nvml, cuda=";".join(["ok", *parts, *gpus[1:]]))
        self.assertEqual(list(found), ["cpu", "gpu0", "gpu0.0", "gpu0.1"] + [f"gpu{i}" for i in range(1, 8)])
        for i in range(2):
            self.assert_fields(found[f"gpu0.{i}"], partition="mig 1g.18gb", address="pci:0000:10:00.0", unplaced=False,
                               uuid=f"MIG-aaaaaaaa-0000-0000-0000-00000000000{i}", memory_total=18000000000)
            self.assertEqual(self.states(found[f"gpu0.{i}"])["cuda"], "ready")
        self.assertEqual(self.states(found["gpu7"])["cuda"], "ready")

    def test_amd(self):
        one = "0000:03:00.0,Radeon RX 7900 XTX,GPU-123456789abcdef0,25753026560"
        found, _ = self.fake("amd_discrete", hip="ok;" + one, hsa="ok;" + one, vulkan="ok;" + one)
        self.assertEqual(list(found), ["cpu", "gpu0"])
        self.assertEqual({name: state for name, state in self.states(found["gpu0"]).items() if name != "opencl"},
                         dict.fromkeys(("drm", "kfd", "vulkan", "hip", "hsa"), "ready"))
        self.assert_fields(found["gpu0"], name="AMD Radeon RX 7900 XTX", memory_free=23 << 30)

    def test_intel(self):
        found, _ = self.fake("intel_npu", level_zero="ok;0000:00:02.0,Intel Arc Graphics,01,30000000000;"
                                                     "0000:00:0b.0,Intel NPU,02,0")
        self.assertEqual(list(found), ["cpu", "gpu0", "npu0"])
        self.assertEqual(self.states(found["gpu0"])["level-zero"], "ready")
        self.assertEqual(self.states(found["npu0"]), {"accel": "ready", "level-zero": "ready"})
        self.assertEqual(self.api(found["npu0"], "level-zero")["version"], "1.3.29735")

    def test_wsl(self):
        found, _ = self.fake("wsl2", cuda="ok;0000:01:00.0,NVIDIA GeForce RTX 3060,99,12884901888")
        self.assertEqual(list(found), ["cpu", "gpu0"])
        self.assert_fields(found["gpu0"], name="NVIDIA GeForce RTX 3060", address="pci:0000:01:00.0", memory_total=12884901888)

    def test_software(self):
        found, _ = self.fake("nothing", vulkan="ok;-,llvmpipe,01,1000000;-,llvmpipe,01,1000000")
        self.assertEqual(list(found), ["cpu"])
        self.assertEqual(self.states(found["cpu"]), {"vulkan": "ready"})

    def test_unplaced(self):
        """What the kernel does not show is not dropped."""
        found, _ = self.fake("nothing", opencl="ok;-,Card X,01,1000;-,Card Y,02,1000", vulkan="ok;0000:7f:00.0,Card Z,03,1")
        self.assertEqual(list(found), ["cpu", "gpu0", "gpu1", "gpu2"])
        self.assertEqual({device["name"] for id, device in found.items() if id != "cpu"}, {"Card X", "Card Y", "Card Z"})
        self.assertTrue(all(device["unplaced"] for id, device in found.items() if id != "cpu"))

    def test_failures(self):
        """Codes of the libraries become states; each has a reason and a mend (ask checks that)."""
        nvidia = (("cuda=fail=100", "missing_library"), ("cuda=fail=803", "too_old"), ("cuda=fail=999", "faulted"),
                  ("nvml=fail=9", "missing_library"), ("nvml=fail=18", "too_old"), ("nvml=fail=4", "permission_denied"),
                  ("vulkan=fail=-9", "missing_library"), ("vulkan=fail=-3", "faulted"), ("opencl=fail=-1001", "missing_library"),
                  ("opencl=fail=-6", "faulted"))
        for machine, id, cases in (
                ("nvidia_optimus", "gpu1", nvidia),
                ("amd_discrete", "gpu0", (("hip=fail=35", "too_old"), ("hsa=fail=0x1008", "permission_denied"),
                                          ("hsa=fail=0x1000", "faulted"))),
                ("intel_npu", "npu0", (("level_zero=fail=0x78000001", "missing_library"),
                                       ("level_zero=fail=0x70010000", "permission_denied")))):
            for case, state in cases:
                with self.subTest(case):
                    api, mode = case.split("=", 1)
                    name = api.replace("_", "-")
                    found, apis = self.fake(machine, apis=name, **{api: mode})
                    self.assertEqual(self.states(found[id])[name], state)
                    self.assertEqual(apis[name]["state"], state)

    def test_crash(self):
        for mode, state in (("crash", "crashed"), ("exit", "faulted"), ("noise", "faulted")):
            with self.subTest(mode):
                found, apis = self.fake("nvidia_optimus", cuda=mode, nvml=mode)
                self.assertEqual((apis["cuda"]["state"], apis["nvml"]["state"]), (state, state))
                self.assertEqual(self.states(found["gpu1"])["cuda"], state)
                self.assertEqual(list(found), ["cpu", "gpu0", "gpu1"])

    def test_late_crash(self):
        """What was said before the crash is kept, but not called ready."""
        found, apis = self.fake("nothing", cuda="late;0000:01:00.0,First,01,1000;0000:02:00.0,Second,02,1000", apis="cuda")
        self.assertEqual([device["name"] for device in found.values()][1:], ["First"])
        self.assertEqual(self.states(found["gpu0"])["cuda"], "crashed")
        self.assertIn("SIGSEGV", apis["cuda"]["reason"])

    def test_hang(self):
        found, apis = self.fake("amd_discrete", "--timeout", "500", vulkan="hang", hip="hang",
                                hsa="ok;0000:03:00.0,Radeon,GPU-1,1")
        self.assertEqual((apis["vulkan"]["state"], apis["hip"]["state"]), ("timed_out", "timed_out"))
        self.assertEqual(self.states(found["gpu0"])["hsa"], "ready")
        self.assertIn("did not answer within", self.api(found["gpu0"], "vulkan")["reason"])

    def test_too_old(self):
        """A library that lacks a function."""
        folder = path_of("old")
        os.mkdir(folder)
        shutil.copy(os.path.join(FAKES, "libcuda.so.1"), os.path.join(folder, "libnvidia-ml.so.1"))
        answer = self.ask("--api", "nvml", LD_LIBRARY_PATH=folder)
        nvml = {api["name"]: api for api in answer["apis"]}["nvml"]
        self.assertEqual(nvml["state"], "too_old")
        self.assertIn("libnvidia-ml.so.1 has no nvmlInit_v2", nvml["reason"])

    def test_not_a_library(self):
        folder = path_of("rubbish")
        os.mkdir(folder)
        with open(os.path.join(folder, "libcuda.so.1"), "wb") as file:
            file.write(b"rubbish")
        answer = self.ask("--api", "cuda", LD_LIBRARY_PATH=folder)
        self.assertEqual({api["name"]: api["state"] for api in answer["apis"]}["cuda"], "faulted")

    def test_sigchld_ignored(self):
        """A caller that ignores SIGCHLD has its children collected by the kernel; the answer is the same."""
        import signal
        result = call(DEVICES, "--json", "--api", "hwloc,bitnet", env={"BITNET_PROBE": PROBE},
                      preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(result.code, 0)
        self.assertEqual({api["name"]: api["state"] for api in result.json["apis"]}["bitnet"], "ready")


@needs_json
class Measure(Survey):
    """Figures of the CPU; LD_LIBRARY_PATH hides what this machine has of Vulkan."""

    @unittest.skipUnless(HAVE_PCRE2, "built without PCRE2")
    def test(self):
        cache = path_of("cache/of/figures")
        env = {"BITNET_CACHE_DIR": cache, "LD_LIBRARY_PATH": FAKES}
        for cached in (False, True):
            answer = self.ask("--api", "bitnet", "-m", MODEL, **env)
            figures = self.api(answer["devices"][0], "cpu")["bench"]
            self.assertEqual(figures["cached"], cached)
            self.assertGreater(figures["bytes_per_second"], 1e6)
            self.assertGreater(figures["int8_ops_per_second"], 1e6)
            model = answer["model"]
            self.assertEqual((model["bytes"] > 0, model["chosen"]), (True, "cpu/cpu"))
            self.assertAlmostEqual(figures["tokens_per_second_ceiling"], figures["bytes_per_second"] / model["token_bytes"],
                                   delta=figures["tokens_per_second_ceiling"] * 1e-6)
            self.assertTrue(answer["devices"][0]["model_fits"])
        self.assertEqual(os.stat(cache).st_mode & 0o777, 0o700)
        text = devices("--api", "bitnet", "-m", MODEL, **env).text
        self.assertIn("(measured before): at most ", text)
        self.assertIn("runs on cpu/cpu: ", text)
        # Damage is no figure; what cannot be kept is told.
        for name in os.listdir(cache):
            with open(os.path.join(cache, name), "wb") as file:
                file.write(b"x" * 5000 + b"\0\n\tcpu\t1\n")
        self.assertFalse(self.api(self.ask("--api", "bitnet", "--bench", **env)["devices"][0], "cpu")["bench"]["cached"])
        result = devices("--api", "bitnet", "--bench", BITNET_CACHE_DIR="/proc/none", LD_LIBRARY_PATH=FAKES)
        self.assertEqual(result.code, 0)
        self.assertIn("note: the figures cannot be kept", result.err)

    def test_watch(self):
        root = path_of("watched")
        machines.make("amd_discrete", root)
        result = devices("--watch=0.1", "--count", 3, "--json", root=root)
        self.assertEqual(result.code, 0, result.err)
        lines = [json.loads(line) for line in result.text.splitlines()]
        self.assertEqual([line["devices"][1]["load_percent"] for line in lines], [7, 7, 7])
        self.assertEqual(devices("--watch", "--bench").code, 2)

    def test_refused(self):
        result = devices("-m", write("refused.gguf", b"GGUF\3\0\0\0"), "--api", "none")
        self.assertEqual((result.code, result.out), (3, b""))


class Completion(unittest.TestCase):
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/completions")

    def complete(self, *words):
        script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bitnet "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
        path = os.pathsep.join([os.path.dirname(RUN), os.environ["PATH"]])
        return call("bash", "-c", script, "bash", os.path.join(self.folder, "bitnet.bash"), *words, env={"PATH": path}).text.split()

    def test_bash(self):
        self.assertEqual(self.complete(DEVICES, "--wat"), ["--watch"])
        self.assertEqual(self.complete(DEVICES, "--color", "al"), ["always"])
        self.assertIn("cpu", self.complete(RUN, "-d", ""))
        self.assertLess({"--json", "--bench", "--help", "-m"}, set(self.complete(DEVICES, "-")))

    def test_others(self):
        shells = {shell: shutil.which(shell) for shell in ("zsh", "fish")}
        for shell, file in (("zsh", "_bitnet"), ("fish", "bitnet.fish")):
            if shells[shell]:
                result = call(shells[shell], "-n", os.path.join(self.folder, file))
                self.assertEqual((result.code, result.err), (0, ""))
        if None in shells.values():
            self.skipTest("the syntax for zsh and fish is checked where they are installed")


class Commands(Survey):
    def test_tree(self):
        root = path_of("tree")
        machines.make("container", root)
        result = devices("--api", "none", root=root)
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertIn("gpu0  AMD Radeon RX 7900 XTX (gfx1100), 24.0 GiB (23.0 GiB free)", result.text)
        self.assertIn("PCIe 16.0 GT/s x8 of x16", result.text)
        self.assertIn("drm        permission_denied", result.text)
        self.assertNotIn("\033", result.text)
        self.assertIn("\033[1m", devices("--api", "none", "--color=always", root=root).text)

    def test_wrong(self):
        for args, text in ((["--api", "vulcan"], "vulcan: no such API; there are bitnet, drm"), (["x"], "unexpected argument"),
                           (["--timeout", "1"], "10 to 60000")):
            result = devices(*args)
            self.assertEqual((result.code, result.out), (2, b""), result.err)
            self.assertIn(text, result.err)

    def test_no_helper(self):
        """Without its helper the survey says so, and still tells what the kernel does."""
        root = path_of("helper")
        machines.make("intel_npu", root)
        result = devices(root=root, BITNET_PROBE=path_of("gone"))
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("npu0  Intel Meteor Lake NPU", result.text)
        self.assertIn("set BITNET_PROBE", result.text)


main(needs_model=False)
