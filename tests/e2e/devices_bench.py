"""How long bitnet-devices takes: medians, and what they should stay under on a machine with lavapipe and PoCL and no GPU.

usage: devices_bench.py BITNET-DEVICES
"""
import resource
import statistics
import subprocess
import sys
import time

RUNS = 21
CASES = (("the kernel's files", ["--api", "none"], 50), ("all", [], 300))


def milliseconds(arguments):
    start = time.perf_counter()
    subprocess.run([sys.argv[1], *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


slow = False
for name, arguments, limit in CASES:
    milliseconds(arguments)  # caches
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = sorted(milliseconds(arguments) for _ in range(RUNS))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000 / RUNS
    median = statistics.median(times)
    slow |= median > limit
    print(f"{name}: median {median:.1f} ms of {RUNS} runs ({times[0]:.1f} to {times[-1]:.1f}), goal {limit} ms; {cpu:.1f} ms of CPU")
sys.exit(slow)
