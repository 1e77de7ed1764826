"""How fast bitnet-convert is beside a plain copy: a benchmark, `meson test -C build --benchmark "convert rate"`.

    convert_rate.py BITNET_CONVERT [FOLDER]

Makes the synthetic 2B-4T model (1.2 GB) in FOLDER or the place for temporary files; then, the
best of three: the file copied by read and write of 8 MiB, converted as it is, and into IQ2_BN, which repacks every matrix. Rates
are of the bytes read. Both are in the page cache, if that has room. Ends with 1 if the conversion that copies has less than
80 % of the copy's rate.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

convert = sys.argv[1]
folder = tempfile.mkdtemp(prefix="bitnet-rate-", dir=sys.argv[2] if len(sys.argv) > 2 else None)


def copy(source, target):
    with open(source, "rb", buffering=0) as from_file, open(target, "wb", buffering=0) as to_file:
        while block := from_file.read(8 << 20):
            to_file.write(block)


def best(work):
    times = []
    for _ in range(3):
        start = time.monotonic()
        work()
        times.append(time.monotonic() - start)
    return min(times)


def main():
    source, target = os.path.join(folder, "source.gguf"), os.path.join(folder, "target.gguf")
    run = lambda *args: subprocess.run([convert, "-q", "-f", *args], check=True)  # noqa: E731
    run("--synthetic", "2b4t", source)
    size = os.stat(source).st_size
    rates = {}
    for name, work in (("copied", lambda: copy(source, target)), ("converted as it is", lambda: run(source, target)),
                       ("converted to iq2_bn", lambda: run("-t", "iq2_bn", source, target))):
        rates[name] = size / best(work) / 1e6
        print(f"{name:20s} {rates[name]:8.0f} MB/s, {100 * rates[name] / rates['copied']:.0f} % of a copy")
    return rates["converted as it is"] < 0.8 * rates["copied"]


try:
    code = main()
finally:
    shutil.rmtree(folder, ignore_errors=True)
sys.exit(code)
