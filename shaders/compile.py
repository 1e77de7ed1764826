"""Compiles and validates one shader variant.

usage: compile.py GLSLANG SPIRV-VAL SOURCE OUTPUT NAME FILE [DEFINE...]     ("-": do not validate)
"""
import subprocess
import sys


def main():
    glslang, spirv_val, source, output, _, _, *defines = sys.argv[1:]
    run = subprocess.run([glslang, "-V", "--quiet", "--target-env", "vulkan1.2", "-o", output, source] +
                         ["-D" + define for define in defines], capture_output=True, text=True)
    if run.returncode:
        # "ERROR: FILE:LINE: ..." -> "FILE:LINE: error: ...", which editors understand
        for line in run.stdout.splitlines():
            if line.startswith("ERROR: ") and line.count(":") > 2:
                file, number, text = line[len("ERROR: "):].split(":", 2)
                print(f"{file}:{number}: error:{text}", file=sys.stderr)
            elif line.strip():
                print(line, file=sys.stderr)
        return 1
    if spirv_val == "-":
        return 0
    return subprocess.run([spirv_val, "--target-env", "vulkan1.2", output]).returncode


sys.exit(main())
