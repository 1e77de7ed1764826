"""bitnet-run --on-device-lost: a text that goes on, one that ends, and what is said about it."""
from cli import *  # noqa: F403

STORY = ("-p", "Once upon a time", "-n", "24", "-s", "3", "-d", "cpu")


class Lost(unittest.TestCase):
    def test_goes_on(self):
        whole = run(*STORY)
        for how in ("reopen", "cpu"):
            for fault in ("submit@4", "drive@3", "poll@9"):
                result = run(*STORY, "--fault", f"cpu:{fault}=lost", "--on-device-lost", how)
                self.assertEqual((result.code, result.text), (0, whole.text), (how, fault, result.err))
                self.assertRegex(result.err, r"cpu/cpu: \w+: \w+: injected fault .*; op \d+ of \d+ was the last that started")
                self.assertIn("going on with cpu" if how == "cpu" else "opening cpu/cpu again", result.err)
                self.assertRegex(result.err, r"; device lost \d+ times?;")
        self.assertEqual(run(*STORY, "--fault", "cpu:submit@4=lost").text, whole.text)  # the default is to reopen

    def test_ends(self):
        whole = run(*STORY)
        result = run(*STORY, "--fault", "cpu:submit@4=lost", "--on-device-lost", "fail")
        self.assertEqual(result.code, 4)
        self.assertTrue(result.text.strip() and whole.text.startswith(result.text.strip()), result.text)
        for fault in ("submit@1", "alloc@1", "submit@*"):  # again and again
            result = run(*STORY, "--fault", f"cpu:{fault}=lost")
            self.assertEqual((result.code, result.err.count("opening cpu/cpu again")), (4, 3), result.err)
            self.assertIn("giving up", result.err)

    @needs_json
    def test_json(self):
        whole, lost = run(*STORY, "--json").json, run(*STORY, "--fault", "cpu:submit@20=lost", "--json").json
        self.assertEqual((whole["device_recoveries"], whole["restored_rows"]), (0, 0))
        self.assertEqual((lost["device_recoveries"], lost["text"], lost["tokens"]), (1, whole["text"], whole["tokens"]))
        self.assertGreater(lost["restored_rows"], 20)

    def test_others(self):
        path = write("text.txt", b"Once upon a time there was a dog. It liked to play in the sun with a red ball.")
        whole = run("--perplexity", path, "-c", "16", "-q", "-d", "cpu")
        result = run("--perplexity", path, "-c", "16", "-q", "-d", "cpu", "--fault", "cpu:submit@2=lost")
        self.assertEqual((result.code, result.text), (0, whole.text), result.err)
        whole = run("--embed", "-p", "a dog", "-d", "cpu")
        result = run("--embed", "-p", "a dog", "-d", "null", "--fault", "null:poll@1=lost", "--on-device-lost", "cpu")
        self.assertEqual((result.code, result.text), (0, whole.text), result.err)
        self.assertIn("going on with cpu", result.err)


main()
