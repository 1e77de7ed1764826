"""The portable kernels: their variants, their text for OpenCL, their compilation ahead of time.

usage: portable.py embed OUTPUT                           C arrays of the sources, and the table PORTABLE_SOURCES
       portable.py text NAME                              the source of a kernel, as OpenCL drivers get it
       portable.py build NAME OUTPUT                      the same to a file, once clang, if there is one, has found no mistake
       portable.py compile CLANG TARGET OUTPUT VARIANT    TARGET: ptx, spirv (LLVM code of it) or an AMD processor, gfx1100
       portable.py variants                               names of what is compiled ahead of time
"""
import itertools
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VARIANTS = ("DOT", "SUBGROUP")
PTX_TARGET = ("sm_75", "+ptx75")  # the oldest that is supported, and the PTX of its time: drivers finish it for newer ones


CONSTANT = re.compile(r"C([0-5])(\?|=[0-9|]+)?")


def processors():
    """{name: the processors that the kernel is for}, of those that are not for all."""
    return {name: word[4:].split("|") for name, _, words, _ in lines() for word in words if word.startswith("FOR=")}


def manifest(processor=None):
    """The kernels for all, or those for this processor alone ("any": for any one): (name, source, defines, constants)."""
    only = processors()
    for name, source, words, constants in lines():
        if processor in only[name] or processor == "any" if name in only else processor is None:
            yield name, source, [word for word in words if not word.startswith("FOR=")], constants


def lines():
    """Yields (name, source, words, constants): constants = {"C0": ["64"], "C1": "?", "C3": "", ...}."""
    with open(os.path.join(HERE, "manifest.txt"), encoding="utf-8") as f:
        for line in f:
            words = line.split("#")[0].split()
            if not words:
                continue
            constants = {}
            for match in filter(None, map(CONSTANT.fullmatch, words[2:])):
                how = match[2] or ""
                constants["C" + match[1]] = how[1:].split("|") if how.startswith("=") else how
            yield words[0], words[1], [word for word in words[2:] if not CONSTANT.fullmatch(word)], constants


def find_clang():
    """The newest clang of those that meson.build looks for, or None."""
    names = [f"clang-{version}" for version in range(22, 14, -1)] + ["clang"]
    return next(filter(None, map(shutil.which, names)), None)


def mask(constants, wanted):
    """Bits of the constants for which wanted(how) holds."""
    return sum(1 << int(name[1]) for name, how in constants.items() if wanted(how))


def variants(processor=None):
    """Yields (name, source, defines) of every combination, best variant only: embed.C0_64.C1_0"""
    for name, source, defines, constants in manifest(processor):
        fixed = {constant: values for constant, values in constants.items() if isinstance(values, list)}
        for values in itertools.product(*fixed.values()):
            chosen = [f"{constant}={value}" for constant, value in zip(fixed, values)]
            yield ".".join([name] + [word.replace("=", "_") for word in chosen]), source, defines + chosen


def text(source, start=os.path.dirname(HERE)):
    """The source with what it includes, each file once, and lines that messages of compilers can name, beginning at `start`."""
    seen = set()

    def flatten(path):
        seen.add(path)
        name = os.path.relpath(path, start)
        yield f'#line 1 "{name}"'
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f.read().splitlines(), 1):
                if not line.startswith("#include "):
                    yield line
                    continue
                wanted = line.split('"')[1]
                included = os.path.join(ROOT if wanted.startswith("shaders/") else os.path.dirname(path), wanted)
                if included not in seen:
                    yield from flatten(included)
                yield f'#line {number + 1} "{name}"'

    return "\n".join(flatten(os.path.join(HERE, source))) + "\n"


def embed(output):
    arrays, rows, words = [], [], []
    kernels = list(manifest())
    for source in sorted({source for _, source, _, _ in kernels}):
        data = text(source).encode() + b"\0"
        lines = [",".join(str(byte) for byte in data[i:i + 32]) for i in range(0, len(data), 32)]
        arrays.append(f"static const char text_{source.split('.')[0]}[] = {{\n" + ",\n".join(lines) + "};\n")
    for name, source, defines, constants in kernels:
        extra = "".join(f" -D{define}" for define in defines if define not in VARIANTS)
        text_name = "text_" + source.split(".")[0]
        parameters = mask(constants, lambda how: how == "")
        rows.append(f'{{"{name}", {text_name}, sizeof({text_name}) - 1, "{extra}", {parameters}}}')
        words.append('"' + " ".join(constant + ("=" + "|".join(how) if isinstance(how, list) else how)
                                    for constant, how in constants.items()) + '"')
    with open(output, "w", encoding="utf-8") as f:
        f.write("".join(arrays) + "#define PORTABLE_SOURCES " + ", ".join(rows) + "\n")
        f.write("#define PORTABLE_CONSTANTS " + ", ".join(words) + "\n")


def command(clang, target, output, source, defines):
    """The compiler's command line."""
    flags = ["-I" + ROOT, "-cl-std=CL1.2", "-cl-fp32-correctly-rounded-divide-sqrt", "-O3", "-Wall", "-Werror",
             "-Wno-unused-function"] + ["-D" + define for define in defines]
    if target == "ptx" or target.startswith("sm_"):
        machine, features = PTX_TARGET
        machine = machine if target == "ptx" else target
        flags += ["-target", "nvptx64-nvidia-cuda", "-Xclang", "-target-cpu", "-Xclang", machine,
                  "-Xclang", "-target-feature", "-Xclang", features, "-S"]
    elif target == "spirv":  # what subgroups and packed products are there is an extension's matter
        flags = [flag for flag in flags if flag not in ("-DDOT", "-DSUBGROUP")]
        flags += ["-target", "spir64", "-emit-llvm", "-c", "-O0", "-Xclang", "-finclude-default-header"]
    else:
        flags += ["-target", "amdgcn-amd-amdhsa", "-mcpu=" + target, "-nogpulib"]
    return [clang, "-x", "cl", *flags, "-o", output, os.path.join(HERE, source)]


def build(kernel, output):
    """Writes the text of a kernel. 1 if clang, which is quicker than a device's compiler, finds a mistake in it."""
    clang = find_clang()
    source = {name: source for name, source, _, _ in manifest()}[kernel]
    with open(output, "w", encoding="utf-8") as f:
        f.write(text(source, os.getcwd()))
    if not clang:
        print("there is no clang: mistakes show when a device's driver compiles", file=sys.stderr)
    for _, _, defines in [v for v in variants() if clang and v[0].split(".")[0] == kernel][:1]:
        flags = [f"-D{define}" for define in defines if define not in VARIANTS]
        if subprocess.run([clang, "-x", "cl", "-cl-std=CL1.2", "-fsyntax-only", "-target", "spir64", "-Xclang",
                           "-finclude-default-header", "-Wall", "-Wno-unused-function", *flags, output]).returncode:
            return 1
    return 0


def main():
    verb, *arguments = sys.argv[1:] or ["-h"]
    if verb == "embed" and len(arguments) == 1:
        embed(arguments[0])
    elif verb == "text" and len(arguments) == 1:
        sys.stdout.write(text({name: source for name, source, _, _ in manifest()}[arguments[0]]))
    elif verb == "build" and len(arguments) == 2:
        return build(*arguments)
    elif verb == "variants":
        print("\n".join(name for name, _, _ in variants()))
    elif verb == "compile" and len(arguments) == 4:
        clang, target, output, wanted = arguments
        for name, source, defines in variants():
            if name == wanted:
                return subprocess.run(command(clang, target, output, source, defines)).returncode
        sys.exit(f"portable.py: {wanted} is no variant of the manifest")
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
