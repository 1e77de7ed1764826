"""Compiles the portable kernels ahead of time, for CUDA, HIP and the fakes of their libraries.

usage: ahead.py ptx CLANG OUTPUT.inl
       ahead.py hip CLANG OUTPUT.inl ISA...
       ahead.py host CLANG OUTPUT.c OUTPUT.o TARGET
       ahead.py table OUTPUT.inl
       ahead.py build|show ptx|ISA NAME [OUTPUT]

Of a constant that has several values in manifest.txt there is a variant for each, and the value is part of the variant's name; table
tells devices/common/ahead.c which ones these are. ptx and hip write packed arrays and a table CUDA_IMAGES or HIP_IMAGES of struct
bn_streams_image. host writes functions of this machine, linked into one object, and a table of struct fake_kernel that calls them.
build and show are for people: the assembly of all variants of kernel NAME in a file, or of one variant on the terminal.

With BN_KERNEL_CACHE, a folder, what was compiled before from the same text with the same compiler and flags is taken
from there: the builds of a test run differ in other things.
"""
import concurrent.futures
import functools
import hashlib
import itertools
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

import portable

PTX_TYPES = {"u64": ("uint64_t", 8), "u32": ("uint32_t", 4), "f32": ("float", 4)}


def variants(processor=None):
    """Yields (name, source, defines); the kernel is renamed."""
    for kernel, source, defines, constants in portable.manifest(processor):
        fixed = {constant: how for constant, how in constants.items() if isinstance(how, list)}
        several = [constant for constant, values in fixed.items() if len(values) > 1]
        for values in itertools.product(*fixed.values()):
            chosen = dict(zip(fixed, values))
            name = "_".join([kernel] + [chosen[constant] for constant in several])
            rename = [] if name == kernel else [f"{kernel}={name}"]
            yield name, source, defines + [f"{constant}={value}" for constant, value in chosen.items()] + rename


def table(output):
    """BN_AHEAD_TABLE: for each kernel, bits of the constants that are named, and of those that are parameters; its processors."""
    only = portable.processors()
    with open(output, "w", encoding="utf-8") as f:
        f.write("#define BN_AHEAD_TABLE")
        for kernel, _, _, constants in itertools.chain(portable.manifest(), portable.manifest("any")):
            named = portable.mask(constants, lambda how: isinstance(how, list) and len(how) > 1)
            passed = portable.mask(constants, lambda how: not isinstance(how, list))
            f.write(f' {{"{kernel}", {named}, {passed}, "{" ".join(only.get(kernel, []))}"}},')
        f.write("\n")


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")


@functools.cache
def version(clang):
    return subprocess.run([clang, "--version"], capture_output=True, check=True).stdout


@functools.cache
def text(source):
    return portable.text(source).encode()


def compile_one(path, source, command):
    """Runs a command of clang that writes the file at `path`, or copies what it wrote before."""
    cache = os.environ.get("BN_KERNEL_CACHE")
    if not cache:
        run(*command)
        return
    words = "\0".join("-" if word == path else word for word in command).replace(portable.ROOT, "")
    key = hashlib.sha256(b"\0".join([version(command[0]), words.encode(), text(source)])).hexdigest()
    kept = os.path.join(cache, key)
    if os.path.exists(kept):
        os.utime(kept)
        shutil.copyfile(kept, path)
        return
    run(*command)
    os.makedirs(cache, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache, delete=False) as unfinished:
        unfinished.write(read(path))
    os.replace(unfinished.name, kept)


def compile_all(folder, suffix, command, processor=None):
    """Every variant as a file of the folder; command(output, source, defines). Returns their names."""
    def one(variant):
        name, source, defines = variant
        path = os.path.join(folder, name + suffix)
        compile_one(path, source, command(path, source, defines))
        return name
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, variants(processor)))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def array(name, data):
    """(definition, the fields of struct bn_streams_image that say where and how much)"""
    packed = zlib.compress(data, 9)
    padded = packed + bytes(-len(packed) % 8)
    words = [f"{word:#x}" for (word,) in struct.iter_unpack("<Q", padded)]
    lines = [", ".join(words[i:i + 8]) for i in range(0, len(words), 8)]
    return f"static const uint64_t {name}[] = {{\n" + ",\n".join(lines) + "};\n", f"{name}, {len(packed)}, {len(data)}"


def write_table(output, macro, arrays, rows):
    with open(output, "w", encoding="utf-8") as f:
        f.write("".join(arrays) + f"#define {macro} " + "".join(row + ", " for row in rows) + "\n")


def compile_ptx(clang, folder):
    """The text of every variant, by its name."""
    names = compile_all(folder, ".ptx", lambda *args: portable.command(clang, "ptx", *args))
    for processor in sorted({word for words in portable.processors().values() for word in words if word.startswith("sm_")}):
        names += compile_all(folder, ".ptx", lambda *args, target=processor: portable.command(clang, target, *args), processor)
    return {name: read(os.path.join(folder, name + ".ptx")) for name in names}


def ptx(clang, output):
    with tempfile.TemporaryDirectory() as folder:
        texts = compile_ptx(clang, folder)
    arrays = {name: array("ptx_" + name, text + b"\0") for name, text in texts.items()}
    write_table(output, "CUDA_IMAGES", [definition for definition, _ in arrays.values()],
                [f'{{NULL, "{name}", {fields}}}' for name, (_, fields) in arrays.items()])


def hip(clang, output, *isas):
    arrays = {}
    for isa in isas:
        with tempfile.TemporaryDirectory() as folder:
            def command(*args, target=isa):
                return portable.command(clang, target, *args) + ["-c"]
            names = compile_all(folder, ".o", command) + compile_all(folder, ".o", command, isa)
            linked = os.path.join(folder, "all.hsaco")
            run(clang, "-target", "amdgcn-amd-amdhsa", f"-mcpu={isa}", "-nogpulib", "-Wl,--strip-all",
                *[os.path.join(folder, name + ".o") for name in names], "-o", linked)
            arrays[isa] = array(isa, read(linked))
    write_table(output, "HIP_IMAGES", [definition for definition, _ in arrays.values()],
                [f'{{"{isa}", NULL, {fields}}}' for isa, (_, fields) in arrays.items()])


def parameters(text, name):
    """The types of a kernel's parameters, of its PTX."""
    listed = re.search(r"\.entry " + name + r"\(([^)]*)\)", text)
    return re.findall(r"\.param \.(\w+)", listed[1])


def host(clang, output, output_object, target):
    def command(path, source, defines):
        flags = [f"-D{define}" for define in defines if define not in portable.VARIANTS]
        return [clang, "-I" + portable.ROOT, "-x", "cl", "-cl-std=CL1.2", "-O2", "-fPIC", "-DSERIAL", "-target", target,
                *flags, "-c", "-o", path, os.path.join(portable.HERE, source)]
    with tempfile.TemporaryDirectory() as folder:
        names = compile_all(folder, ".o", command) + compile_all(folder, ".o", command, "any")
        run(clang, "-r", "-nostdlib", *[os.path.join(folder, name + ".o") for name in names], "-o", output_object)
        # Which parameters there are, PTX says; those that are for some processors have the ones of what they replace.
        kinds = {name: parameters(text.decode(), name) for name, text in compile_ptx(clang, folder).items()}
        kinds = {name: kinds.get(name) or kinds["ternary_tiled_" + name.split("_")[-1]] for name in names}
    lines, rows = ['#include "fake/groups.h"\n#include <stddef.h>\n'], []
    for name, types in kinds.items():
        c_types = [PTX_TYPES[kind][0] for kind in types]
        call = ", ".join(f"*({kind} *)p[{i}]" for i, kind in enumerate(c_types))
        lines.append(f"void {name}({', '.join(c_types)});\n"
                     f"static void run_{name}(void *const *p)\n{{\n    {name}({call});\n}}\n"
                     f"static const uint8_t sizes_{name}[] = {{{', '.join(str(PTX_TYPES[kind][1]) for kind in types)}}};\n")
        rows.append(f'{{"{name}", {len(types)}, sizes_{name}, run_{name}}},\n')
    with open(output, "w", encoding="utf-8") as f:
        f.write("".join(lines) + "const struct fake_kernel fake_kernels[] = {\n" + "".join(rows) +
                "{NULL, 0, NULL, NULL}};\n")


def assembly(target, variant):
    """The text of a variant for PTX or one of AMD's processors; None if it does not compile, which clang has said."""
    _, source, defines = variant
    clang = portable.find_clang()
    if not clang:
        sys.exit("ahead.py: there is no clang")
    command = portable.command(clang, target, "-", source, defines)
    result = subprocess.run(command + ["-S"], stdout=subprocess.PIPE, text=True)
    return None if result.returncode else result.stdout


def build(target, kernel, output):
    own = {name for name, *_ in portable.manifest()}
    wanted = [v for v in variants() if v[0] == kernel or (v[0] not in own and v[0].startswith(kernel + "_") and
                                                          v[0][len(kernel) + 1].isdigit())]
    texts = [assembly(target, variant) for variant in wanted]
    if None in texts:
        sys.exit(1)
    with open(output, "w", encoding="utf-8") as f:
        f.write("".join(texts))


def show(target, wanted):
    listed = {variant[0]: variant for variant in variants()}
    if wanted not in listed:
        near = " ".join(name for name in listed if name.startswith(wanted + "_"))
        sys.exit(f"ahead.py: {wanted} has the variants {near}" if near else f"ahead.py: there is no {wanted}")
    text = assembly(target, listed[wanted])
    if text is None:
        sys.exit(1)
    sys.stdout.write(text)


if __name__ == "__main__":
    {"build": build, "show": show, "ptx": ptx, "hip": hip, "host": host, "table": table}[sys.argv[1]](*sys.argv[2:])
