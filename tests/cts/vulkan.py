"""The Vulkan driver under Khronos' validation layer, and its files: the cache of pipelines, overridden shaders.

usage: vulkan.py CTS BITNET-RUN
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

LAYER = "VK_LAYER_KHRONOS_validation"
COMPLAINT = ("VUID-", "Validation Error", "Validation Performance", "SYNC-HAZARD", "UNASSIGNED-")
ASAN = "libvulkan_lvp" in os.environ.get("LD_PRELOAD", "")  # see tests/meson.build
failures = []


def check(condition, text):
    if not condition:
        failures.append(text)
        print(text)


def run(cts, *cases, **env):
    result = subprocess.run([cts, "--device=vulkan", *cases], capture_output=True, text=True,
                            env=dict(os.environ, **env))
    return result.returncode, result.stdout + result.stderr


def validation(cts, without):
    # With the layer, and only then, LeakSanitizer takes for lost what LLVM keeps for each of lavapipe's pipelines; what is ours is
    # looked at in the runs without it.
    options = os.environ.get("ASAN_OPTIONS", "") + (":detect_leaks=0" if ASAN else "")
    status, text = run(cts, VK_INSTANCE_LAYERS=LAYER, ASAN_OPTIONS=options, VK_LOADER_DEBUG="layer", BITNET_VULKAN_WITHOUT=without,
                       VK_LAYER_ENABLES="VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT")
    check(LAYER in text, "the validation layer was not loaded")
    complaints = [line for line in text.splitlines() if any(word in line for word in COMPLAINT)]
    check(status == 0, f"without {without or 'nothing'}: cts gives {status}")
    check(not complaints, f"without {without or 'nothing'}: {len(complaints)} complaints, the first: {complaints[:1]}")


# A cache that is damaged anywhere, short, empty or foreign is as good as none, and is replaced.
def cache(cts):
    with tempfile.TemporaryDirectory() as folder:
        check(run(cts, "embed", BITNET_CACHE_DIR=folder)[0] == 0, "embed with an empty cache")
        files = glob.glob(os.path.join(folder, "vulkan-*.bin"))
        check(len(files) == 1 and os.stat(folder).st_mode & 0o77 == 0, f"cache files: {files}")
        if not files:
            return
        with open(files[0], "rb") as f:
            good = f.read()
        for bad in (b"", good[:20], good[:-1], good + b"x", bytes([good[0] ^ 1]) + good[1:], good[:8] + bytes([good[8] ^ 1]) + good[9:],
                    good[:-1] + bytes([good[-1] ^ 1]), b"\xff" * len(good)):
            with open(files[0], "wb") as f:
                f.write(bad)
            check(run(cts, "embed", BITNET_CACHE_DIR=folder)[0] == 0, f"embed with a cache of {len(bad)} bad bytes")
            with open(files[0], "rb") as f:
                check(f.read()[:8] == good[:8], "the bad cache was not replaced")
    check(run(cts, "embed", BITNET_CACHE_DIR="/dev/null/x")[0] == 0, "embed without a place for the cache")


# A shader from $BITNET_SHADER_DIR is used; one that is no SPIR-V is not.
def override(cts):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "embed.spv")
        with open(path, "wb") as f:
            f.write(b"not SPIR-V, though of 28 bytes")
        check(run(cts, "embed", BITNET_SHADER_DIR=folder)[0] == 0, "a file that is no shader")
        source, empty = os.path.join(folder, "empty.comp"), os.path.join(folder, "embed.spv")
        with open(source, "w", encoding="utf-8") as f:
            f.write("#version 460\nlayout(constant_id = 0) const uint T = 64; layout(local_size_x_id = 0) in;\nvoid main() {}\n")
        subprocess.run(["glslangValidator", "-V", "--quiet", "--target-env", "vulkan1.2", "-o", empty, source], check=True)
        status, text = run(cts, "embed", BITNET_SHADER_DIR=folder)
        check(status == 1 and "values differ" in text, "the shader of the folder was not used")


# Every device of every driver that the loader finds, whatever the others are.
def drivers(run_tool):
    manifests = glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json")
    if not manifests:
        return
    with tempfile.TemporaryDirectory() as folder:
        with open(manifests[0], encoding="utf-8") as f:
            text = f.read()
        names = [os.path.join(folder, name + ".json") for name in ("one", "two", "missing")]
        for name in names:
            with open(name, "w", encoding="utf-8") as f:
                f.write(re.sub(r'"[^"]*\.so[^"]*"', '"/nowhere/libvulkan_x.so"', text) if "missing" in name else text)
        for listed, found in ((names[:1], 1), (names[:2], 2), (names, 2), (names[2:], 0)):
            files = ":".join(listed)
            result = subprocess.run([run_tool, "--list-devices"], capture_output=True, text=True,
                                    env=dict(os.environ, VK_ICD_FILENAMES=files, VK_DRIVER_FILES=files))
            lines = [line for line in result.stdout.splitlines() if " vulkan " in line]
            check(sum("llvmpipe" in line for line in lines) == found, f"{len(listed)} drivers: {lines}")
            check(found or "no Vulkan driver is installed" in lines[0], f"no driver: {lines}")


def main():
    cts, run_tool = sys.argv[1:]
    status, text = run(cts, "order")
    if status == 77:
        print(text)
        return 77
    cache(cts)
    override(cts)
    drivers(run_tool)
    if not glob.glob("/usr/share/vulkan/explicit_layer.d/*khronos_validation*"):
        print("the validation layer is not installed (Debian: vulkan-validationlayers)")
        return 77 if not failures else 1
    for without in ("", "host_visible,timeline,software")[:1 if ASAN else 2]:
        validation(cts, without)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
