"""How large the library and bitnet-run are when stripped, and which shared libraries they need.

usage: sizes.py [--self-test] LIBRARY BITNET-RUN
Prints both, and fails beyond the limits below.
"""
import os
import re
import subprocess
import sys
import tempfile

MAX_BYTES = 4000 * 1000  # 1.3 MB of it are kernels of CUDA and HIP, 0.9 MB those of Vulkan
MAX_LIBRARIES = 3
# Not counted: ours, and the parts of the C library.
OURS = re.compile(r"libbitnet\.so|(libc|libm|libpthread|libdl|librt)\.so|ld-linux|libc\.musl|ld-musl")


def judge(sizes, needed):
    total, others = sum(sizes.values()), sorted({name for name in needed if not OURS.match(name)})
    for name, size in sizes.items():
        print(f"{name}: {size} bytes stripped")
    print(f"together {total} bytes, at most {MAX_BYTES}; beyond libc they need {', '.join(others) or 'nothing'}, "
          f"at most {MAX_LIBRARIES}")
    return total > MAX_BYTES or len(others) > MAX_LIBRARIES


def self_test():
    bad = [({"a": MAX_BYTES, "b": 1}, []), ({"a": 1}, ["libc.so.6", "a.so", "b.so", "c.so", "d.so"])]
    good = [({"a": MAX_BYTES}, ["libbitnet.so.0", "libc.so.6", "libm.so.6", "a.so", "b.so", "a.so", "c.so"])]
    return not all(judge(*case) for case in bad) or any(judge(*case) for case in good)


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    sizes, needed = {}, []
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "stripped")
        for path in sys.argv[1:]:
            subprocess.run(["strip", "-o", stripped, path], check=True)
            sizes[os.path.basename(path)] = os.path.getsize(stripped)
            dynamic = subprocess.run(["readelf", "-d", path], check=True, text=True, capture_output=True).stdout
            needed += re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    return judge(sizes, needed) or not needed


sys.exit(main())
