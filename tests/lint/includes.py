"""Who may include whom: the rules of docs/architecture.md as tables, checked for every #include of the tree.

usage: includes.py [--self-test] ROOT
"""
import os
import re
import sys
import tempfile

PUBLIC = "include/bitnet/"
BASE = "runtime/base/"
LAYOUT = "runtime/layout/"

# Folder or file, the longest match counts -> the prefixes of paths that it may include besides itself.
RULES = {
    "include/bitnet/": [],
    "runtime/base/": [PUBLIC],
    "runtime/layout/": [PUBLIC, BASE],
    "cpu/": [PUBLIC, "runtime/layout/layout.h"],
    "runtime/text/": [PUBLIC, BASE, LAYOUT],
    "runtime/model/": [PUBLIC, BASE, LAYOUT, "runtime/text/"],
    "runtime/observe/": [PUBLIC, BASE, LAYOUT],
    "runtime/device/": [PUBLIC, BASE, LAYOUT, "runtime/survey/"],
    "runtime/survey/": [PUBLIC, BASE],
    "runtime/graph/": [PUBLIC, BASE, LAYOUT, "runtime/model/", "runtime/device/"],
    "runtime/sched/": [PUBLIC, BASE, LAYOUT, "runtime/graph/", "runtime/device/"],
    "runtime/engine/": [PUBLIC, BASE, LAYOUT, "runtime/text/", "runtime/model/", "runtime/device/", "runtime/graph/",
                        "runtime/sched/", "runtime/observe/"],
    "devices/": [PUBLIC, BASE, LAYOUT, "devices/common/", "shaders/constants.h"],
    "devices/cpu/": [PUBLIC, BASE, LAYOUT, "devices/common/", "cpu/"],
    "npu/": [PUBLIC, BASE, LAYOUT, "npu/common/"],
    "convert/": [PUBLIC, BASE, LAYOUT, "runtime/model/", "runtime/text/"],
    "tools/": [PUBLIC],
    "tools/convert/": [PUBLIC, "tools/", "convert/"],
    "tools/shader/": [PUBLIC, "tools/", "cpu/"],
    "tools/bench/": [PUBLIC, "tools/", "cpu/"],
    "tools/probe/": [PUBLIC, BASE],
    "examples/": [PUBLIC],
    "tests/": [""],
}

# Folders from whose top their own files may be named.
SEARCHED = ["tools/", "tests/"]

# Made by the build: who may include it.
GENERATED = {
    "bn_config.h": ["runtime/", "tools/", "convert/", "devices/", "tests/"],
    "driver_table.inl": ["runtime/device/"],
    "portable_sources.inl": ["devices/opencl/", "tools/shader/"],
    "ahead_table.inl": ["devices/common/"],
    "cuda_kernels.inl": ["devices/cuda/"],
    "hip_kernels.inl": ["devices/hip/"],
    "vulkan_shaders.inl": ["devices/vulkan/", "tools/shader/"],
    "bench_commit.h": ["tools/bench/"],
}

# Headers of the public folder that are not for everybody.
RESTRICTED = {
    "include/bitnet/driver.h": ["runtime/device/", "runtime/graph/", "runtime/sched/", "runtime/engine/", "devices/",
                                "npu/", "tests/"],
}

# Headers from outside the tree: those of ISO C may be included everywhere but in cpu/, the rest where listed.
ISO_C = set("""assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg
stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype""".split())
CPU = {"float.h", "limits.h", "math.h", "stdbool.h", "stddef.h", "stdint.h", "string.h", "inttypes.h", "stdalign.h",
       "immintrin.h", "cpuid.h", "arm_neon.h", "arm_sve.h", "riscv_vector.h", "sys/auxv.h", "sys/prctl.h", "sys/syscall.h", "unistd.h",
       "asm/hwcap.h"}
OUTSIDE = {
    "pcre2.h": ["runtime/text/"],
    "vulkan/vulkan_core.h": ["devices/vulkan/", "tests/fake/between/"],
    "zlib.h": ["devices/common/"],
    "CL/cl.h": ["devices/opencl/", "tests/opencl/"],
    "CL/cl_ext.h": ["devices/opencl/"],
    "jansson.h": ["runtime/model/", "convert/", "tools/", "tests/"],
    "check.h": ["tests/"],
    "immintrin.h": ["tools/bench/", "tests/kern/"],
    "xf86drm.h": ["tools/probe/"],
    "amdgpu_drm.h": ["tools/probe/"],
    "i915_drm.h": ["tools/probe/"],
    "hwloc.h": ["tools/probe/"],
}
POSIX = re.compile(r"^(sys|linux|arpa|netinet)/|^(dirent|dlfcn|elf|endian|fcntl|getopt|langinfo|libgen|link|poll|pthread|"
                   r"sched|semaphore|spawn|strings|syscall|termios|ucontext|unistd|execinfo|fnmatch|glob|wait)\.h$")
POSIX_FOLDERS = ["runtime/base/", "runtime/survey/", "devices/", "npu/", "convert/", "tools/", "tests/"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:([<"])([^>"]+)[>"]|(\S+))', re.M)


def own(folder):
    """devices/cpu/x.c -> devices/cpu/: a driver is one folder; elsewhere a folder of the first level or of runtime/."""
    parts = folder.split("/")
    depth = 2 if parts[0] in ("include", "runtime", "devices", "npu") else 1
    return "/".join(parts[:depth]) + "/"


def target_of(root, path, quote, name):
    """The included file as a path from the root, or None if it is from outside the tree."""
    if quote == "<":
        return "include/" + name if name.startswith("bitnet/") else None
    if name in GENERATED:
        return name
    folders = ["", os.path.dirname(path)] + [top for top in SEARCHED if path.startswith(top)]
    for folder in folders:
        if os.path.exists(os.path.join(root, folder, name)):
            return os.path.normpath(os.path.join(folder, name))
    return name


def starts(path, prefixes):
    return any(path.startswith(prefix) for prefix in prefixes)


def judge_outside(path, name):
    if path.startswith("cpu/"):
        return None if name in CPU else f"<{name}>: kernels know no library and no system"
    if name in OUTSIDE:
        return None if starts(path, OUTSIDE[name]) else f"<{name}> is for {' '.join(OUTSIDE[name])} only"
    if name.endswith(".h") and name[:-2] in ISO_C:
        return None
    if path.startswith(PUBLIC) or path.startswith("examples/"):
        return f"<{name}> is not ISO C"
    if POSIX.search(name) and starts(path, POSIX_FOLDERS):
        return None
    return f"<{name}> is not in the tables of tests/lint/includes.py for this folder"


def judge(root, path, quote, name):
    """None, or what is wrong with this #include."""
    target = target_of(root, path, quote, name)
    if target is None:
        return judge_outside(path, name)
    if target in GENERATED:
        return None if starts(path, GENERATED[target]) else f"{target} is for {' '.join(GENERATED[target])} only"
    if not os.path.exists(os.path.join(root, target)):
        return f"{name}: no such file from the root of the tree"
    if target.startswith(PUBLIC) and quote != "<":
        return f"public headers are included as <{target[len('include/'):]}>"
    if ".." in name:
        return f'write "{target}"'
    if target in RESTRICTED and not starts(path, RESTRICTED[target]):
        return f"{target} is for authors of drivers only"
    if target.startswith(own(path)):
        return None
    rule = max((folder for folder in RULES if path.startswith(folder)), key=len, default=None)
    if rule is None:
        return f"no rule for this folder in tests/lint/includes.py"
    if not starts(target, RULES[rule]):
        return f"{rule} must not include {target}"
    return None


def check(root):
    """All violations of a tree, as "path:line: text", and the number of includes seen."""
    found, count = [], 0
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders[:] = [f for f in folders if not f.startswith((".", "build", "subprojects", "dist"))]
        for file in sorted(files):
            path = os.path.relpath(os.path.join(folder, file), root)
            if not file.endswith((".c", ".h", ".inl")):
                continue
            with open(os.path.join(root, path), encoding="utf-8") as f:
                text = f.read()
            for match in INCLUDE.finditer(text):
                count += 1
                quote, name, macro = match.groups()
                wrong = f"#include {macro}: by name only" if macro else judge(root, path, quote, name)
                if wrong:
                    line = text.count("\n", 0, match.start()) + 1
                    found.append(f"{path}:{line}: {wrong}")
    return found, count


# A small tree in which every line but those marked is wrong.
SELF_TEST = {
    "include/bitnet/base.h": "#include <stdint.h> // good\n#include <unistd.h>\n#include <bitnet/driver.h>\n",
    "include/bitnet/driver.h": "#include <bitnet/base.h> // good\n#include \"runtime/base/host.h\"\n",
    "runtime/base/host.h": "#include <bitnet/base.h> // good\n#include \"runtime/layout/layout.h\"\n#include \"missing.h\"\n",
    "runtime/layout/layout.h": "#include \"runtime/base/host.h\" // good\n#include \"include/bitnet/base.h\"\n",
    "runtime/model/model.h": "#include \"runtime/text/text.h\" // good\n#include \"runtime/engine/engine.h\"\n",
    "runtime/text/text.h": "#include <pcre2.h> // good\n#include \"runtime/model/model.h\"\n#include <jansson.h>\n",
    "runtime/engine/engine.h": "#include \"runtime/sched/s.h\" // good\n#include \"devices/cpu/cpu.h\"\n#include \"cpu/kernels.h\"\n",
    "runtime/sched/s.h": "#include \"bn_config.h\" // good\n#include \"driver_table.inl\"\n#include \"runtime/engine/engine.h\"\n",
    "cpu/kernels.h": "#include \"runtime/layout/layout.h\" // good\n#include \"runtime/base/host.h\"\n#include <stdlib.h>\n",
    "cpu/x86/avx2.c": "#include \"cpu/kernels.h\" // good\n#include \"../kernels.h\"\n",
    "devices/common/ring.h": "#include <pthread.h> // good\n#include \"devices/cpu/cpu.h\"\n",
    "devices/cpu/cpu.h": "#include \"cpu/kernels.h\" // good\n#include \"devices/null/null.h\"\n",
    "devices/null/null.h": "#include <bitnet/driver.h> // good\n#include \"cpu/kernels.h\"\n",
    "tools/run/run.c": "#include <jansson.h> // good\n#include \"runtime/base/host.h\"\n#include <bitnet/driver.h>\n"
                          "#include \"convert/convert.h\"\n",
    "tools/convert/convert.c": "#include \"convert/convert.h\" // good\n#include \"cpu/kernels.h\"\n",
    "convert/convert.h": "#include \"runtime/model/model.h\" // good\n#include HEADER\n",
    "tests/unit/t.c": "#include <check.h> // good\n#include \"cpu/kernels.h\" // good\n",
    "strange/s.c": "#include <bitnet/base.h>\n",
}


def self_test():
    with tempfile.TemporaryDirectory() as root:
        expected = []
        for path, text in SELF_TEST.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
            expected += [f"{path}:{n}" for n, line in enumerate(text.splitlines(), 1) if "// good" not in line]
        found = [text.split(": ")[0] for text in check(root)[0]]
    for line in sorted(set(expected) - set(found)):
        print(f"not found: {line}")
    for line in sorted(set(found) - set(expected)):
        print(f"found, but right: {line}")
    return set(found) != set(expected) or not expected


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    found, count = check(sys.argv[1])
    print("\n".join(found + [f"{count} includes, {len(found)} against the rules"]))
    return 1 if found or not count else 0


sys.exit(main())
