"""The drivers of CUDA and HIP on the fakes of their libraries: every call fails once; devices that are refused; errors that stay.

usage: streams.py cuda|hip RUN LISTING
"""
import os
import re
import subprocess
import sys

DRIVER, RUN, LISTING = sys.argv[1:]
IS_HIP = DRIVER == "hip"
FAKE = "BITNET_TEST_FAKE_" + DRIVER.upper()
WITHOUT = f"BITNET_{DRIVER.upper()}_WITHOUT"
ONE = "ok;0000:01:00.0,Fake,GPU-0011223344556677,8589934592"
TYPED = (0, 3, 4, 5, 70)  # of docs: done, model, device, memory, internal
failures = []
text = None  # what an undisturbed run writes


def check(condition, *what):
    if not condition:
        failures.append(what)
        print(*what)


def run(*args, devices=ONE, fail="", **env):
    """(status, stdout, stderr). The fake ends a process that breaks a rule, and one that leaves something behind."""
    environment = dict(os.environ, **{FAKE: devices, "BITNET_TEST_FAKE_FAIL": fail}, **env)
    if not environment.pop("BITNET_TEST_FAKE_FAIL") == "":
        environment["BITNET_TEST_FAKE_FAIL"] = fail
    result = subprocess.run([RUN, *(args or ("-d", DRIVER, "-p", "A", "--greedy", "-n", "2"))],
                            capture_output=True, text=True, env=environment, timeout=60)
    check("fake:" not in result.stderr and result.returncode in TYPED, args, devices, fail, env, result.returncode,
          result.stderr)
    return result.returncode, result.stdout, result.stderr


def functions():
    """The names in this driver's column of the table."""
    with open(LISTING, encoding="utf-8") as f:
        rows = re.findall(r'STREAMS\(\w+, (\w+), \(.*?\),\s*("?\w+"?),\s*("?\w+"?)\)', f.read(), re.S)
    return {member: name.strip('"') for member, cuda, hip in rows if (name := hip if IS_HIP else cuda) != "NULL"}


# A failed call is an error with its number, or has a way round it; nothing is left behind. After 719 every call fails.
def every_call(names):
    gone = {"free", "host_free", "host_unregister", "context_release", "stream_destroy", "event_destroy", "module_unload",
            "graph_destroy", "exec_destroy"}  # who cannot give back has lost it
    gentle = {"capture_begin", "graph_instantiate", "capture_end", "memory_info", "uuid"}
    unasked = {"init", "version", "count", "get", "name", "bus_id", "total", "attribute", "properties", "old_properties",
               "device_set", "device_get", "context_push", "context_pop", "uuid"}
    for member, name in names.items():
        if member in unasked:
            continue
        for code in (719,) if member in gone else (1, 719):
            status, out, err = run(fail=f"{name}@2={code}")
            if status == 0:
                check(out == text, name, code, "other text", out)
            else:
                check(f"error {code})" in err, name, code, "no number", err)
                check(code == 719 or member not in gentle, name, "has a fallback", err)


def refused(names):
    def must(status, words, *args, **kwargs):
        found = run(*args, **kwargs)
        check(found[0] == status, status, found)
        for word in words:
            check(word in found[2], word, "is not in", found[2])
    must(*((4, ["error 209"]) if IS_HIP else (70, ["error 218", "ptxas error"])),
         fail=f"{names['module_load']}@1={209 if IS_HIP else 218}")
    if IS_HIP:
        must(4, ["no kernels for gfx803", "HSA_OVERRIDE_GFX_VERSION"], devices=ONE.replace("Fake", "Old (gfx803)"))
    else:
        must(4, ["compute capability 6.1; 7.5"], devices=ONE.replace("Fake", "GTX 1080"))
    must(4, ["there is no device (error 100)"], devices="fail=100")
    must(5, ["MiB are needed", "are free"], devices=ONE.replace("8589934592", "8388608"))
    must(5, ["memory of the host"], fail=f"{names['host_alloc']}@1=2")


# A kernel fails while it runs: the op is named, other devices take the sessions, and this one does not come back.
def sticky():
    status, out, err = run(fail="kernel@40=700")
    check(status == 4 and "an address that is not its own" in err and "new process" in err, status, err)
    check(re.search(r"op \d+ of the command was the last", err), err)
    args = ("-d", DRIVER, "-p", "A", "--greedy", "-n", "2", "--on-device-lost")
    status, out, err = run(*args, "cpu", fail="kernel@40=700")
    check(status == 0 and out == text, status, out, err)
    two = ONE + ONE[2:].replace("01:00", "02:00")
    status, out, err = run(*args, "reopen", devices=two, fail="kernel@40=700")
    check(status == 4 and "poisoned: " in err and "for good in this process" in err, status, err)


def several():
    two = ONE + ";0000:02:00.0,Fake MIG 1g.10gb,GPU-ffeeddccbbaa9988,8589934592"
    status, out, err = run("--list-devices", devices=two)
    rows = [line.split() for line in out.splitlines() if f" {DRIVER} " in line]
    check(status == 0 and [row[2] for row in rows] == ["ready", "ready"], out, err)
    check(len({row[0] for row in rows}) == 2, out)
    visible = "HIP_VISIBLE_DEVICES" if IS_HIP else "CUDA_VISIBLE_DEVICES"
    for value, names in (("1", ["Fake MIG 1g.10gb"]), ("1,0", ["Fake MIG 1g.10gb", "Fake"]), ("GPU-00112233", ["Fake"]), ("-1", [])):
        status, out, err = run("--list-devices", devices=two, **{visible: value})
        shown = [line for line in out.splitlines() if f" {DRIVER} " in line and " ready " in line]
        check(status == 0 and len(shown) == len(names), visible, value, out)
        check(all(name in line for name, line in zip(names, shown, strict=True)), visible, value, out)
        check(names or f"{visible} may hide" in out, visible, value, out)
    for selector in (rows[1][0], "pci:02:00.0", f"pci:0000:02:00.0/{DRIVER}", f"{rows[0][0]}/{DRIVER}", DRIVER):
        status, out, err = run("-d", selector, "-p", "A", "--greedy", "-n", "2", devices=two)
        check(status == 0 and out == text, selector, status, out, err)


def main():
    global text
    _, text, err = run()
    check(text, "no text", err)
    names = functions()
    check(len(names) > 30, names)
    for without in ("graphs", "write_value", "fused", "mirror"):
        check(run(**{WITHOUT: without})[1] == text, "without", without)
    every_call(names)
    refused(names)
    sticky()
    several()
    print(f"{len(names)} functions, {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
