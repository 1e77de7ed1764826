"""A zoo of machines: trees of the kernel's files (/sys, /proc, /dev) as they are on real ones, with what matters of them.

Each function makes a machine in a Machine; MACHINES names them all.
"""
import os

AMD, NVIDIA, INTEL = 0x1002, 0x10DE, 0x8086
PCI_IDS = """# a part of pci.ids
1022  Advanced Micro Devices, Inc. [AMD]
\t17f0  Strix/Krackan/Strix Halo Neural Processing Unit
10de  NVIDIA Corporation
\t28a0  AD107M [GeForce RTX 4060 Max-Q / Mobile]
8086  Intel Corporation
\t7d1d  Meteor Lake NPU
\t7d55  Meteor Lake-P [Intel Arc Graphics]
\t\t1028 0c05  a subsystem
\ta7a0  Raptor Lake-P [Iris Xe Graphics]
C 03  Display controller
\t00  VGA compatible controller
"""
AMDGPU_IDS = "# List of AMDGPU IDs\n1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n150E,\tC1,\tAMD Radeon 890M Graphics\n"
CPUINFO = "processor\t: 0\nvendor_id\t: {}\nmodel name\t: {}\nprocessor\t: 1\nmodel name\t: other\n"


class Machine:
    """Files below a root, by default those of a small computer without any accelerator."""

    def __init__(self, root, cpu=("AuthenticAMD", "AMD Ryzen 9 7950X 16-Core Processor"), threads=4):
        self.root = root
        self.devices = {}  # name -> folder below /sys/devices
        if cpu:
            self.file("proc/cpuinfo", CPUINFO.format(*cpu))
        self.file("proc/meminfo", "MemTotal:       65536000 kB\nMemFree:         1000 kB\nMemAvailable:   60000000 kB\n")
        self.file("proc/loadavg", "0.00 0.00 0.00 1/100 1\n")
        self.file("usr/share/misc/pci.ids", PCI_IDS)
        self.file("usr/share/libdrm/amdgpu.ids", AMDGPU_IDS)
        for cpu_number in range(threads):  # cores of two threads
            half = max(threads // 2, 1)
            sibling = f"{cpu_number % half},{cpu_number % half + half}"
            top = f"sys/devices/system/cpu/cpu{cpu_number}"
            self.file(f"{top}/topology/thread_siblings_list", sibling + "\n")
            self.file(f"{top}/topology/physical_package_id", "0\n")
            for index, (level, kind, size, shared) in enumerate((
                    (1, "Data", "32K", sibling), (1, "Instruction", "32K", sibling), (2, "Unified", "1024K", sibling),
                    (3, "Unified", "32M", f"0-{threads - 1}"))):
                for name, text in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
                    self.file(f"{top}/cache/index{index}/{name}", f"{text}\n")
        self.file("sys/devices/system/node/node0/meminfo", "Node 0 MemTotal: 65536000 kB\n")
        self.file("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
        self.file("proc/sys/kernel/osrelease", "6.12.0\n")
        self.governor("performance", "acpi-cpufreq")

    def path(self, name):
        return os.path.join(self.root, name)

    def file(self, name, text=""):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def governor(self, name, driver):
        self.file("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", name + "\n")
        self.file("sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", driver + "\n")

    def memory(self, total_kib, available_kib):
        self.file("proc/meminfo", f"MemTotal: {total_kib} kB\nMemAvailable: {available_kib} kB\n")

    def link(self, name, target):
        """A relative link from `name` to `target`, both below the root, as sysfs has them."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        os.symlink(os.path.relpath(self.path(target), os.path.dirname(self.path(name))), self.path(name))

    def device(self, folder, bus, driver=None, **files):
        """A device of a bus with its driver and attributes."""
        name = os.path.basename(folder)
        self.devices[name] = folder
        for key, text in files.items():
            self.file(f"{folder}/{key}", f"{text}\n")
        self.link(f"sys/bus/{bus}/devices/{name}", folder)
        self.link(f"{folder}/subsystem", f"sys/bus/{bus}")
        if driver:
            self.file(f"sys/bus/{bus}/drivers/{driver}/uevent")
            self.link(f"{folder}/driver", f"sys/bus/{bus}/drivers/{driver}")

    def pci(self, address, vendor, device, kind, driver=None, revision=0, **files):
        self.device(f"sys/devices/pci0000:00/{address}", "pci", driver, vendor=f"0x{vendor:04x}", device=f"0x{device:04x}",
                    revision=f"0x{revision:02x}", **{"class": f"0x{kind:06x}"}, **files)

    def platform(self, name, driver):
        self.device(f"sys/devices/platform/{name}", "platform", driver)

    def node(self, path, mode=0o666):
        self.file(f"dev/{path}")
        os.chmod(self.path(f"dev/{path}"), mode)

    def render(self, minor, owner, node=True):
        """/dev/dri/renderD<minor>, and the card beside it."""
        for name, number in ((f"renderD{minor}", minor), (f"card{minor - 128}", minor - 128)):
            folder = f"{self.devices[owner]}/drm/{name}"
            self.file(f"{folder}/dev", f"226:{number}\n")
            os.symlink(f"../../../{owner}", self.path(f"{folder}/device"))  # as the kernel writes it
            self.link(f"sys/class/drm/{name}", folder)
            if node:
                self.node(f"dri/{name}")

    def accel(self, minor, owner, node=True):
        folder = f"{self.devices[owner]}/accel/accel{minor}"
        self.file(f"{folder}/dev", f"261:{minor}\n")
        os.symlink(f"../../../{owner}", self.path(f"{folder}/device"))
        self.link(f"sys/class/accel/accel{minor}", folder)
        if node:
            self.node(f"accel/accel{minor}")

    def kfd(self, *gpus):
        """Nodes of KFD's topology behind that of the CPU: dicts of properties."""
        self.node("kfd")
        for number, properties in enumerate(({"cpu_cores_count": 16, "gfx_target_version": 0}, *gpus)):
            text = "".join(f"{key} {value}\n" for key, value in properties.items())
            self.file(f"sys/class/kfd/kfd/topology/nodes/{number}/properties", text)

    def nvidia(self, address, model, uuid, minor, version="550.54.14"):
        self.file("proc/driver/nvidia/version", f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Thu Feb 22\n")
        self.file(f"proc/driver/nvidia/gpus/{address}/information",
                  f"Model: \t\t {model}\nIRQ:   \t\t 80\nGPU UUID: \t {uuid}\nBus Location: \t {address}\nDevice Minor: \t {minor}\n")
        self.node(f"nvidia{minor}")
        self.node("nvidiactl")


LINK = {"current_link_speed": "16.0 GT/s PCIe", "current_link_width": "8", "max_link_speed": "16.0 GT/s PCIe",
        "max_link_width": "16"}


def amd_discrete(m, **node):
    m.pci("0000:03:00.0", AMD, 0x744C, 0x030000, "amdgpu", 0xC8, numa_node=0, gpu_busy_percent=7,
          mem_info_vram_total=24 << 30, mem_info_vram_used=1 << 30, mem_info_gtt_total=32 << 30, **LINK)
    for name, value in (("temp1_input", 44000), ("power1_average", 31000000), ("freq1_input", 500000000),
                        ("freq2_input", 1249000000)):
        m.file(f"sys/bus/pci/devices/0000:03:00.0/hwmon/hwmon4/{name}", f"{value}\n")
    m.pci("0000:03:00.1", AMD, 0xAB30, 0x040300, "snd_hda_intel")  # its sound
    m.render(128, "0000:03:00.0", **node)
    m.kfd({"gfx_target_version": 110000, "location_id": 0x300, "domain": 0, "drm_render_minor": 128,
           "unique_id": 0x123456789ABCDEF0})


def amd_apu_npu(m):
    m.pci("0000:c1:00.0", AMD, 0x150E, 0x038000, "amdgpu", 0xC1, mem_info_vram_total=512 << 20, mem_info_vram_used=100 << 20,
          mem_info_gtt_total=30 << 30)
    m.render(128, "0000:c1:00.0")
    m.pci("0000:c2:00.1", 0x1022, 0x17F0, 0x118000, "amdxdna", 0x11)
    m.accel(0, "0000:c2:00.1")


def intel_npu(m):
    m.pci("0000:00:02.0", INTEL, 0x7D55, 0x030000, "i915", 8)
    m.render(128, "0000:00:02.0")
    m.pci("0000:00:0b.0", INTEL, 0x7D1D, 0x120000, "intel_vpu", 4)
    m.accel(0, "0000:00:0b.0")


def nvidia_optimus(m):
    m.pci("0000:00:02.0", INTEL, 0xA7A0, 0x030000, "i915", 4)
    m.render(128, "0000:00:02.0")
    m.pci("0000:01:00.0", NVIDIA, 0x28A0, 0x030000, "nvidia", 0xA1)
    m.render(129, "0000:01:00.0")
    m.nvidia("0000:01:00.0", "NVIDIA GeForce RTX 4060 Laptop GPU", "GPU-aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", 0)


def server(m):
    m.pci("0000:02:00.0", 0x1A03, 0x2000, 0x030000, "ast", 0x52)  # the console of its management controller
    for i in range(8):
        address = f"0000:{0x10 + 0x11 * i:02x}:00.0"
        m.pci(address, NVIDIA, 0x2335, 0x030200, "nvidia", 0xA1, numa_node=i // 4)
        m.nvidia(address, "NVIDIA H200", f"GPU-0000000{i}-0000-0000-0000-000000000000", i)


def partitions(m):
    """An MI300X in eight parts: one PCI device, eight render nodes, seven of them of devices that are none."""
    m.pci("0000:05:00.0", AMD, 0x74A1, 0x120000, "amdgpu", mem_info_vram_total=192 << 30, mem_info_vram_used=0)
    m.render(128, "0000:05:00.0")
    for i in range(1, 8):
        m.platform(f"amdgpu_xcp_{i}", "amdgpu_xcp_drv")
        m.render(128 + i, f"amdgpu_xcp_{i}")
    m.kfd(*({"gfx_target_version": 90402, "location_id": i << 28 | 0x500, "domain": 0, "drm_render_minor": 128 + i,
             "unique_id": 0x1000 + i} for i in range(8)))


def rk3588(m):
    m.file("sys/firmware/devicetree/base/model", "Radxa ROCK 5B\0")
    m.platform("fb000000.gpu", "panthor")
    m.render(128, "fb000000.gpu")
    m.platform("fdab0000.npu", "rocket")
    m.accel(0, "fdab0000.npu")
    m.platform("vgem", "vgem")  # no hardware
    m.render(129, "vgem")


def snapdragon(m):
    m.file("sys/firmware/devicetree/base/model", "Lenovo ThinkPad T14s Gen 6\0")
    m.platform("3d00000.gpu", "adreno")
    m.render(128, "3d00000.gpu")
    for name in ("fastrpc-adsp", "fastrpc-cdsp", "fastrpc-cdsp-secure"):
        m.file(f"sys/class/misc/{name}/dev", "10:120\n")
        m.node(name)


def wsl2(m):
    m.node("dxg")


def container(m):
    amd_discrete(m, node=False)
    os.remove(m.path("dev/kfd"))


def no_permission(m):
    intel_npu(m)
    for name in ("dri/renderD128", "accel/accel0"):
        os.chmod(m.path(f"dev/{name}"), 0o600)


def no_driver(m):
    m.pci("0000:01:00.0", NVIDIA, 0x28A0, 0x030000)
    m.pci("0000:c2:00.1", 0x1022, 0x17F0, 0x118000)


def nothing(m):
    m.pci("0000:00:01.0", 0x1234, 0x1111, 0x030000, "bochs-drm")


def strange(m):
    """What no kernel writes."""
    m.pci("0000:03:00.0", AMD, 0xFFFF, 0x030000, "x" * 200, current_link_speed="fast", current_link_width="-4",
          max_link_width="9" * 40, mem_info_vram_total="18446744073709551616", numa_node="\x1b[31m", gpu_busy_percent=250)
    m.file("sys/bus/pci/devices/0000:04:00.0/class", "no number\n")
    m.file("sys/bus/pci/devices/" + "y" * 250 + "/class", "0x030000\n")
    m.link("sys/class/drm/renderD200", "sys/gone")
    m.file("sys/class/drm/renderD201", "a file\n")
    m.kfd({"gfx_target_version": 2 ** 64 - 1, "location_id": 2 ** 70, "drm_render_minor": -1})
    m.file("proc/driver/nvidia/gpus/not-an-address/information", "Model: x\n")
    m.file("proc/meminfo", "MemTotal: " + "9" * 30 + " kB\n")
    m.file("proc/cpuinfo", "model name\t: bad \x1b[2J\udcff".encode("utf-8", "replace").decode() + "z" * 3000 + "\n")


MACHINES = {f.__name__: f for f in (amd_discrete, amd_apu_npu, intel_npu, nvidia_optimus, server, partitions, rk3588, snapdragon,
                                    wsl2, container, no_permission, no_driver, nothing, strange)}


def make(name, root):
    machine = Machine(root, cpu=None if name in ("rk3588", "snapdragon") else ("GenuineIntel", "Test CPU"))
    MACHINES[name](machine)
    return root


def umockdev(machine):
    """The PCI devices of a machine, with their nodes, in umockdev's language."""
    text = []
    for name, folder in sorted(machine.devices.items()):
        if "pci0000:00" not in folder:
            continue
        text += [f"P: /{folder[4:]}", "E: SUBSYSTEM=pci"]
        for key in sorted(os.listdir(machine.path(folder))):
            path = machine.path(f"{folder}/{key}")
            if os.path.islink(path):
                if key == "driver":
                    text.append(f"L: driver=../../../bus/pci/drivers/{os.path.basename(os.readlink(path))}")
            elif os.path.isfile(path):
                with open(path, encoding="utf-8") as f:
                    text.append(f"A: {key}={f.read().rstrip()}\\n")
        text.append("")
        for kind in ("drm", "accel"):
            folders = machine.path(f"{folder}/{kind}")
            for node in sorted(os.listdir(folders)) if os.path.isdir(folders) else []:
                with open(f"{folders}/{node}/dev", encoding="utf-8") as f:
                    number = f.read().strip()
                device = f"{'dri' if kind == 'drm' else kind}/{node}"
                major, minor = number.split(":")
                text += [f"P: /{folder[4:]}/{kind}/{node}", f"N: {device}", f"E: DEVNAME=/dev/{device}",
                         f"E: SUBSYSTEM={kind}", f"E: MAJOR={major}", f"E: MINOR={minor}", f"A: dev={number}\\n",
                         f"L: device=../../../{name}", ""]
    return "\n".join(text)
