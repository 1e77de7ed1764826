"""The portable kernels under oclgrind, a simulator of an OpenCL device that looks at each access: none is out of bounds, none races.
It takes a hundred times as long as PoCL, so the test runs the cases that are short there; "all" runs every case with kernels.

usage: oclgrind.py CTS [all | CASE...]
"""
import os
import subprocess
import sys
import tempfile
import time

SIMULATOR = "/usr/lib/oclgrind/liboclgrind-rt-icd.so"
SHORT = ["embed", "quantise", "norm", "kv_copy", "activate", "quantise16", "norm_rows", "head"]
LONG = ["gate_up", "append", "matmul", "qkv", "attention", "top", "rotate", "scaled_matmul", "scaled_gate", "planes", "fused",
        "rows", "family_qkv"]
REPORTS = ("Invalid read", "Invalid write", "Data race", "Work-group divergence", "Uninitialized", "Unaligned")


def main():
    cts, *cases = sys.argv[1:]
    if not os.path.exists(SIMULATOR):
        print("oclgrind is not installed (Debian: oclgrind)")
        return 77
    cases = SHORT + LONG if cases == ["all"] else cases or SHORT
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "oclgrind.icd"), "w", encoding="utf-8") as file:
            file.write(SIMULATOR + "\n")
        # LLVM reads the group's memory ahead of a loop that a work-item may not enter: harmless, and called a race.
        env = dict(os.environ, OCL_ICD_VENDORS=folder, OCLGRIND_DATA_RACES="1", OCLGRIND_BUILD_OPTIONS="-cl-opt-disable",
                   BITNET_OPENCL_WITHOUT="binaries")
        for case in cases:
            start = time.monotonic()
            result = subprocess.run([cts, "--device=opencl", case], capture_output=True, text=True, env=env)
            said = result.stdout + result.stderr
            reports = [line.strip() for line in said.splitlines() if any(word in line for word in REPORTS)]
            ran = "opencl: 1 cases, 0 not as expected" in said
            print(f"{case:14} {'ok' if ran and not reports else 'WRONG'} {time.monotonic() - start:6.1f} s", flush=True)
            if not ran or reports:
                bad += 1
                print(said[:4000])
    print(f"{len(cases)} cases, {bad} with a report")
    return 1 if bad else 0


sys.exit(main())
