"""Static checks of the portable kernels, in place of hardware: they compile to PTX, code objects and SPIR-V; ptxas accepts the
PTX for each architecture; code objects describe their kernels; packed dot products are the instruction; SPIR-V is valid.

usage: static.py SHADERS/PORTABLE
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
import portable  # noqa: E402

NVIDIA = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")
AMD = ("gfx906", "gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx1151", "gfx1200")
ALL_OF = ("gfx1100",)  # processors that every variant is compiled for; the others have one of each kernel with a dot product
DOT = ("ternary", "ternary_fused", "ternary_tiled", "ternary_scaled", "top_scan")
failures, skipped, counts = [], set(), {}


def run(command):
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def find(*names):
    folders = [f"/usr/lib/llvm-{version}/bin" for version in range(22, 13, -1)] + \
        os.environ["PATH"].split(":") + ["/usr/local/cuda/bin"]
    for name in names:
        found = shutil.which(name, path=":".join(folders))
        if found:
            return found
    return None


def clangs():
    """Those that are there, the newest first."""
    names = [f"clang-{version}" for version in range(22, 13, -1)] + ["clang"]
    return [path for path in map(find, names) if path]


def accepts(clang, target):
    with tempfile.NamedTemporaryFile(suffix=".o") as f:
        return run(portable.command(clang, target, f.name, "copy.cl", ["C0=64"]))[0] == 0


def expect(condition, name, text):
    if not condition:
        failures.append(f"{name}: {text}")


def compiled(clang, target, folder, variant):
    name, source, defines = variant
    output = os.path.join(folder, f"{name}.{target}")
    status, text = run(portable.command(clang, target, output, source, defines))
    expect(status == 0, f"{target} {name}", text[:2000])
    counts[target] = counts.get(target, 0) + (status == 0)
    return output if status == 0 else None


def check_ptx(tools, folder, variant):
    path = compiled(tools["clang"], "ptx", folder, variant)
    if not path:
        return
    with open(path, encoding="utf-8") as f:
        text = f.read()
    kernel = variant[0].split(".")[0]
    expect(("dp4a" in text) == (kernel in DOT), f"ptx {variant[0]}", "dp4a is missing, or where it should not be")
    expect("shfl.sync" in text or "SUBGROUP" not in variant[2] or kernel in ("copy", "top_select"),
           f"ptx {variant[0]}", "no shuffle")
    expect(f".entry {kernel}(" in text, f"ptx {variant[0]}", "no such entry")
    expect(".extern" not in text, f"ptx {variant[0]}", "something is left to be linked")
    for machine in NVIDIA if tools["ptxas"] else ():
        status, said = run([tools["ptxas"], "-arch", machine, "-v", path, "-o", path + ".cubin"])
        expect(status == 0, f"ptxas {machine} {variant[0]}", said[:2000])
        expect(not re.search(r"[1-9]\d* bytes spill", said), f"ptxas {machine} {variant[0]}", "registers are spilled")
        counts["ptxas " + machine] = counts.get("ptxas " + machine, 0) + (status == 0)


def check_amd(tools, folder, target, variant):
    path = compiled(tools["clang of " + target], target, folder, variant)
    if not path:
        return
    kernel = variant[0].split(".")[0]
    if tools["readelf"]:
        notes = run([tools["readelf"], "--notes", "--symbols", path])[1]
        expect(f".symbol:         {kernel}.kd" in notes, f"{target} {variant[0]}", "no kernel in the notes: " + notes[:500])
        wave = re.search(r"\.wavefront_size: +(\d+)", notes)
        expect(wave and int(wave[1]) == (64 if target.startswith("gfx9") else 32), f"{target} {variant[0]}", "wave size")
        expect(" UND " not in notes.replace("UND \n", "\n"), f"{target} {variant[0]}", "a symbol is undefined")
    if tools["objdump"] and kernel in DOT:
        expect(re.search(r"v_dot4\w*_i32_iu?8", run([tools["objdump"], "-d", path])[1]), f"{target} {variant[0]}",
               "no packed dot product")


# Kernels for some processors: they compile for each, and have the instructions that they are there for.
def check_matrices(tools, folder, target, variant):
    clang = tools["clang of " + target] if target in AMD else tools["clang"]
    path = compiled(clang, target, folder, variant) if clang else None
    if not path:
        return
    name = f"{target} {variant[0][:40]}"
    if target in AMD:
        text = run([tools["objdump"], "-d", path])[1] if tools["objdump"] else ""
        expect(not text or re.search(r"v_(wmma|mfma)_i32_16x16x(16|32)", text), name, "no product of matrices")
        return
    with open(path, encoding="utf-8") as f:
        expect(re.search(r"mma\.sync\.aligned\.m(16n8k32|8n8k16)", f.read()), name, "no product of matrices")
    for machine in NVIDIA[NVIDIA.index(target):] if tools["ptxas"] else ():
        status, said = run([tools["ptxas"], "-arch", machine, "-v", path, "-o", path + ".cubin"])
        expect(status == 0 and not re.search(r"[1-9]\d* bytes spill", said), f"ptxas {machine} {name}", said[:2000])
        counts["ptxas " + machine] = counts.get("ptxas " + machine, 0) + (status == 0)


def check_spirv(tools, folder, variant):
    path = compiled(tools["clang of spirv"], "spirv", folder, variant)
    if not path or not tools["llvm-spirv"]:
        return
    status, said = run([tools["llvm-spirv"], "--spirv-max-version=1.2", path, "-o", path + ".spv"])
    if status == 0 and tools["spirv-val"]:
        status, said = run([tools["spirv-val"], "--target-env", "opencl2.2", path + ".spv"])
    expect(status == 0, f"spirv {variant[0]}", said[:1000])


def main():
    found = clangs()
    if not found:
        print("no clang is installed")
        return 77
    tools = {"clang": next((clang for clang in found if accepts(clang, "ptx")), None), "ptxas": find("ptxas"),
             "readelf": find("llvm-readelf"), "objdump": find("llvm-objdump"), "spirv-val": find("spirv-val")}
    for target in AMD:
        tools["clang of " + target] = next((clang for clang in found if accepts(clang, target)), None)
    tools["llvm-spirv"] = find("llvm-spirv", *[f"llvm-spirv-{version}" for version in range(22, 13, -1)])
    version = re.search(r"LLVM version (\d+)", run([tools["llvm-spirv"] or "true", "--version"])[1])
    tools["clang of spirv"] = find("clang-" + version[1]) if version else tools["clang"]
    skipped.update(tool for tool, path in tools.items() if not path)

    jobs, first = [], set()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for variant in portable.variants():
            kernel, one_of_each = variant[0].split(".")[0], variant[0].split(".")[0] not in first
            first.add(kernel)
            if tools["clang"]:
                jobs.append(pool.submit(check_ptx, tools, folder, variant))
            if tools["clang of spirv"] and one_of_each:
                jobs.append(pool.submit(check_spirv, tools, folder, variant))
            for target in AMD:
                if tools["clang of " + target] and one_of_each and (target in ALL_OF or kernel in DOT):
                    jobs.append(pool.submit(check_amd, tools, folder, target, variant))
        for target in sorted({target for targets in portable.processors().values() for target in targets}):
            last = list(portable.variants(target))[-1]  # they differ in what is done with the sums
            jobs.append(pool.submit(check_matrices, tools, folder, target, last))
        for job in jobs:
            job.result()
    print("compiled:", ", ".join(f"{target} {n}" for target, n in sorted(counts.items())))
    if skipped:
        print("not there, and left out:", ", ".join(sorted(skipped)))
    print("\n".join(failures[:20]))
    print(f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
