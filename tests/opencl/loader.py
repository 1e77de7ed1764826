"""Every call of the OpenCL driver fails: with a code that means little, with one that means the end of the device, and once a device
has vanished for good. A loader in front of the real one does it (loader.c).

usage: loader.py FOLDER-OF-LOADER RUN FUNCTIONS.INL
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

FOLDER, RUN, LISTING = sys.argv[1:]
TYPED = (0, 3, 4, 5, 70)  # of docs: done, model, device, memory, internal
INVALID, NO_RESOURCES, FAILED, REFUSED = -30, -5, -14, -11
# Calls with a way round: the next device or a copy in the place of what cannot be had; what nobody needs to know.
GENTLE = {"clGetPlatformInfo", "clGetDeviceInfo", "clGetEventProfilingInfo", "clGetProgramInfo", "clCreateSubDevices"}
failures = []
text = None  # what an undisturbed run writes


def check(condition, *what):
    if not condition:
        failures.append(what)
        print(*what)


def real_loader():
    """Its path: the first of the folders that ld.so searches, which our own is not in."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    found = re.search(r"libOpenCL\.so\.1 \(.*64.*\) => (\S+)", listed) or re.search(r"libOpenCL\.so\.1 .*=> (\S+)", listed)
    return found[1] if found else None


def run(*args, fail="", **env):
    environment = dict(os.environ, BITNET_TEST_CL_FAIL=fail, **env)
    environment["LD_LIBRARY_PATH"] = FOLDER + ":" + environment.get("LD_LIBRARY_PATH", "")
    environment["BITNET_TEST_CL_LOADER"] = LOADER
    result = subprocess.run([RUN, "-d", "opencl", "-p", "A", "--greedy", "-n", "2", "-q", *args], capture_output=True,
                            text=True, env=environment, timeout=120)
    check("fake:" not in result.stderr and result.returncode in TYPED, args, fail, env, result.returncode, result.stderr)
    return result.returncode, result.stdout, result.stderr


def counts(*args, **env):
    """{function: calls} of an undisturbed run."""
    with tempfile.NamedTemporaryFile("r") as file:
        status, out, err = run(*args, BITNET_TEST_CL_COUNTS=file.name, **env)
        check(status == 0 and out == text, args, env, err)
        return {name: int(calls) for name, calls in (line.split() for line in file.read().splitlines())}


def fail_at(name, call, code, for_good, *args, **env):
    plan = f"{name}@{call}{'+' if for_good else ''}={code}"
    status, out, err = run("--on-device-lost", "fail", *args, fail=plan, **env)
    if status == 0:
        check(out == text, plan, "other text", out)
    else:
        check(err.strip() and len(err) < 4000, plan, "no message, or much too long a one")
        check(not for_good or status in (4, 5), plan, "a device that has vanished gives", status, err)
    return status, err


def every_call(seen, done):
    def one(call):
        name, calls = call
        status, err = fail_at(name, calls, INVALID, False, *done.args, **done.env)
        check(status == 0 or name not in GENTLE or calls == 1, name, calls, "has a way round", err)
        if not name.startswith("clRelease"):
            fail_at(name, (calls + 1) // 2, NO_RESOURCES, True, *done.args, **done.env)

    new = [(name, calls) for name, calls in seen.items() if name not in done]
    done.update(name for name, _ in new)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, new))


class Done(set):
    """Names that were looked at; and how to run for those that are not."""
    args, env = (), {}


def main():
    global LOADER, text
    LOADER = real_loader()
    if not LOADER:
        print("there is no OpenCL loader")
        return 77
    status, text, err = run()
    if status == 4 and ("missing_library" in err or "no device" in err):
        print(err)
        return 77
    check(text, "no text", err)
    done = Done()
    every_call(counts(), done)
    # Copies instead of shared memory; a measured device; parts of a device.
    done.args, done.env = ("--trace", os.devnull, "-t", "1"), {"BITNET_OPENCL_WITHOUT": "svm,host_import,binaries"}
    every_call(counts(*done.args, **done.env), done)
    done.args, done.env = ("--trace", os.devnull), {}
    every_call(counts(*done.args), done)
    done.args, done.env = (), {"BITNET_OPENCL_WITHOUT": "", "BITNET_CACHE_DIR": "/dev/null/none"}
    every_call(counts(**done.env), done)
    with tempfile.TemporaryDirectory() as folder:  # programs of the cache
        done.env["BITNET_CACHE_DIR"] = folder
        run(**done.env)
        every_call(counts(**done.env), done)
    with open(LISTING, encoding="utf-8") as file:
        names = {"cl" + name for name in re.findall(r"^CL_\w+\((\w+)\)", file.read(), re.M)}
    # Of a program that does not build the log is read; on PoCL nothing is ever written past a queue.
    check(names - done - {"clGetProgramBuildInfo", "clSVMFree"} == set(), "were not called:", names - done)

    status, _, err = run(fail="clGetPlatformIDs@1=-1001")
    check(status == 4 and "install the OpenCL driver" in err, "no platform", status, err)
    status, _, err = run(fail=f"clBuildProgram@1={REFUSED}", BITNET_OPENCL_WITHOUT="binaries")
    check(status == 4 and "portable/fake.cl:7:3: error: this compiler refuses everything" in err, "a log", status, err)
    status, _, err = run("--on-device-lost", "fail", fail=f"status@9={FAILED}")
    check(status == 4 and re.search(r"the device is lost \(OpenCL error -14\)", err), "a kernel that failed", status, err)
    for where in ("clEnqueueNDRangeKernel@70+", "clFlush@2+", "clGetEventInfo@9+"):
        status, out, err = run("--on-device-lost", "cpu", fail=f"{where}={NO_RESOURCES}")
        check(status == 0 and out == text, where, "and the CPU goes on", status, err)
        status, _, err = run("--on-device-lost", "reopen", fail=f"{where}={NO_RESOURCES}")
        check(status == 4, where, "and it does not come back", status, err)
    print(f"{len(done)} functions, {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
