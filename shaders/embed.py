"""Writes compiled shaders as C: arrays of words, and the table VULKAN_SHADERS.

usage: embed.py OUTPUT NAME.spv...
"""
import os
import struct
import sys


def main():
    arrays, rows = [], []
    for path in sys.argv[2:]:
        name = os.path.basename(path).removesuffix(".spv")
        with open(path, "rb") as f:
            data = f.read()
        words = struct.unpack(f"<{len(data) // 4}I", data)
        if not words or words[0] != 0x07230203:
            sys.exit(f"{path}: not SPIR-V")
        lines = [", ".join(f"{word:#x}" for word in words[i:i + 12]) for i in range(0, len(words), 12)]
        arrays.append(f"static const uint32_t spirv_{name}[] = {{\n" + ",\n".join(lines) + "};\n")
        rows.append(f'{{"{name}", spirv_{name}, sizeof(spirv_{name})}}')
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write("".join(arrays) + "#define VULKAN_SHADERS " + ", ".join(rows) + "\n")


main()
