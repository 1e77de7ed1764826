"""--trace of bitnet-run and bitnet-bench: what the file holds, against the tokens and submissions that were made."""
from cli import *  # noqa: F403

BENCH = os.environ["BITNET_TEST_BENCH"]
HOST = {"step", "batch", "submit", "wait", "sample", "recover"}


class Trace:
    """A file, read; times in nanoseconds."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            whole = json.load(file)
        assert whole["otherData"]["schema"] == "bitnet-trace/1"
        self.dropped = whole["otherData"]["dropped_events"]
        self.tracks = {event["tid"]: event["args"]["name"] for event in whole["traceEvents"]
                       if event["ph"] == "M" and event["name"] == "thread_name"}
        self.events = [event for event in whole["traceEvents"] if event["ph"] == "X"]
        for event in self.events:
            event["start"] = round(event["ts"] * 1000)
            event["end"] = event["start"] + round(event["dur"] * 1000)

    def named(self, name, track=None):
        return [event for event in self.events
                if event["name"] == name and (track is None or self.tracks[event["tid"]] == track)]

    def check(self, test):
        """On each track events come in order, and lie inside one another or apart."""
        test.assertEqual({event["ph"] for event in self.events}, {"X"})
        for tid, name in self.tracks.items():
            events, open_ = [event for event in self.events if event["tid"] == tid], []
            test.assertEqual([event["start"] for event in events], sorted(event["start"] for event in events))
            for event in events:
                while open_ and open_[-1] <= event["start"]:
                    open_.pop()
                test.assertTrue(not open_ or event["end"] <= open_[-1], (name, event))
                open_.append(event["end"])
            test.assertTrue(name != "host" or {event["name"] for event in events} <= HOST)


def traced(*args, **more):
    path = path_of("trace.json")
    result = run(*args, "-p", "Once upon a time", "-s", "3", "-q", "--trace", path, **more)
    return result, Trace(path)


class Files(unittest.TestCase):
    def on_a_device(self, device, track, ops, **more):
        """12 tokens after a prompt of 5, in chunks of 2: 3 + 11 submissions, each seen by host and device."""
        result, trace = traced("-d", device, "-n", "12", "-ub", "2", **more)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(run("-d", device, "-p", "Once upon a time", "-s", "3", "-q", "-n", "12", "-ub", "2", **more).text,
                         result.text)
        trace.check(self)
        self.assertEqual(trace.dropped, 0)
        self.assertEqual(sorted(trace.tracks.values()), ["host", track])
        for name, n in (("step", 12), ("sample", 12), ("batch", 14), ("submit", 14), ("wait", 14), ("submission", 14)):
            self.assertEqual(len(trace.named(name)), n, name)
        self.assertEqual([event["args"]["rows"] for event in trace.named("batch")], [2, 2, 1] + [1] * 11)
        self.assertEqual([event["args"]["submission"] for event in trace.named("submission")], list(range(1, 15)))
        self.assertEqual([event["args"]["rows"] for event in trace.named("step")], [5] + [1] * 11)
        for submission, submit, wait in zip(*map(trace.named, ("submission", "submit", "wait")), strict=True):
            self.assertGreaterEqual(submission["start"], submit["start"])
            self.assertLessEqual(submission["end"], wait["end"] + 1000000)
            inside = [event for event in trace.events if event["tid"] == submission["tid"] and event is not submission and
                      submission["start"] <= event["start"] and event["end"] <= submission["end"]]
            self.assertEqual((submission["args"]["estimated"], submission["args"]["ops"]),
                             (int(not ops), len(inside)))
            parts = {}
            for event in inside:  # every op of the plan, once and in order, and its parts
                parts.setdefault(event["args"]["op"], []).append(event["args"]["part"])
            self.assertEqual(list(parts), list(range(len(parts))))
            self.assertTrue(all(list_ == list(range(len(list_))) for list_ in parts.values()), parts)
        for name in ops:
            self.assertEqual(len({event["args"]["op"] for event in trace.named(name)}) > 0, True, name)
        self.assertEqual(len(trace.named("head")), 14 if ops else 0)

    def test_cpu(self):
        self.on_a_device("cpu", "queue of cpu/cpu", ["embed", "qkv", "attention", "gate_up", "matmul", "head"])

    def test_null(self):
        self.on_a_device("null", "queue of null/null", [])

    @unittest.skipUnless(run("-d", "vulkan", "-n", "0", "-p", "a").code == 0, "no Vulkan device")
    def test_vulkan(self):
        self.on_a_device("vulkan", "queue of cpu/vulkan", ["embed", "attention", "head"])

    @unittest.skipUnless("opencl" in DRIVERS, "no OpenCL device for tests")
    def test_opencl(self):
        self.on_a_device("opencl", "queue of cpu/opencl", ["embed", "attention", "head"], env=CL)

    def test_lost_device(self):
        result, trace = traced("-d", "cpu", "-n", "9", "--fault", "cpu:submit@6=lost")
        self.assertEqual(result.code, 0, result.err)
        trace.check(self)
        self.assertEqual(len(trace.named("recover")), 1)
        self.assertEqual(list(trace.tracks.values()), ["host", "queue of cpu/cpu", "queue of cpu/cpu"])
        rows = [event["args"]["rows"] for event in trace.named("step")]
        self.assertEqual(sum(rows) - max(rows[1:]) + 1, 5 + 8)  # one step computed everything again
        result, trace = traced("-d", "cpu", "-n", "9", "--fault", "cpu:submit@6=lost", "--on-device-lost", "fail")
        self.assertEqual((result.code, len(trace.named("submission"))), (4, 5))  # there is a file all the same

    def test_others(self):
        path = path_of("bench.json")
        result = call(BENCH, "-m", MODEL, "-p", "8", "-n", "4", "-r", "2", "--no-warmup", "--no-limits", "-d", "cpu", "-t", "1",
                      "--sessions", "1,3", "-q", "--trace", path)
        self.assertEqual(result.code, 0, result.err)
        trace = Trace(path)
        trace.check(self)
        self.assertEqual(len(trace.named("step")), 2 * (1 + 4 + 4))
        self.assertEqual({event["args"]["sessions"] for event in trace.named("step")}, {1, 3})
        for program in (RUN, BENCH):
            result = call(program, "-m", MODEL, "--trace", "/no/such/folder/t.json")
            self.assertEqual((result.code, result.out, "/no/such/folder/t.json" in result.err), (2, b"", True), result.err)


main()
