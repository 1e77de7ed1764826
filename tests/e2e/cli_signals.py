"""Ctrl-C and SIGTERM: what was made stays, the figures are printed, the exit status names the signal."""
import select
import signal
import time

from cli import *  # noqa: F403

ENDLESS = ["-p", "Once upon a time", "--ignore-eos", "-c", "20000"]


class Interrupted(unittest.TestCase):
    def start(self, *args):
        process = subprocess.Popen([RUN, "-m", MODEL, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def end(self, process, number):
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err.decode()

    def test_text(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = self.start(*ENDLESS)
            first = process.stdout.read(60)
            got, rest, err = self.end(process, number)
            self.assertEqual(got, code, err)
            self.assertTrue((first + rest).decode().endswith("\n"))
            self.assertRegex(err, r"prompt 5 tokens.*decode [1-9]\d* tokens.*seed \d+\n")

    def test_prompt_processing(self):
        # Long enough to be under way for a while; the signal must end it between two ops.
        prompt = write("long.txt", b"Once upon a time there was a dog. " * 2000)
        process = self.start("-f", prompt, "-c", "30000", "--isa", "scalar", "-q")
        process.stdout.read(60)
        started = time.monotonic()
        got, _, _ = self.end(process, signal.SIGINT)
        self.assertEqual(got, 130)
        self.assertLess(time.monotonic() - started, 60)

    @needs_json
    def test_json(self):
        process = self.start(*ENDLESS, "--json", "-v")
        while b"device" not in process.stderr.readline():
            pass
        time.sleep(1.5)  # the model is mapped and the text under way
        got, out, err = self.end(process, signal.SIGINT)
        self.assertEqual(got, 130, err)
        made = json.loads(out)
        self.assertEqual(made["stop"], "interrupted")
        self.assertGreater(len(made["tokens"]), 0)

    def test_perplexity(self):
        text = write("much.txt", b"Once upon a time there was a little dog. " * 4000)
        process = self.start("--perplexity", text, "-c", "64")
        process.stdout.read(4)
        got, out, _ = self.end(process, signal.SIGINT)
        self.assertEqual(got, 130)
        self.assertNotIn(b"Final", out)


class Conversation(unittest.TestCase):
    """On a terminal: the marker on stderr says that the program waits for a message."""

    def setUp(self):
        template = "<|start_header_id|>{{ role }}<|end_header_id|>{{ content }}<|eot_id|>"
        self.model = with_key(MODEL, "chat.gguf", "tokenizer.chat_template", template)
        try:
            self.terminal, inside = os.openpty()
        except OSError as error:
            self.skipTest(f"no terminal to be had: {error}")
        self.process = subprocess.Popen([RUN, "-m", self.model, "--ignore-eos", "-c", "20000"], stdin=inside,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(TERM="dumb"))
        os.close(inside)

    def tearDown(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        os.close(self.terminal)

    def wait_for(self, stream, mark):
        seen, end = b"", time.monotonic() + 60
        while mark not in seen:
            ready, _, _ = select.select([self.process.stdout, self.process.stderr], [], [], end - time.monotonic())
            self.assertTrue(ready, f"no {mark} within a minute, but {seen}")
            for other in ready:  # neither pipe may fill up
                data = os.read(other.fileno(), 65536)
                if other is stream:
                    self.assertTrue(data, f"ended without {mark}: {seen}")
                    seen += data
        return seen

    def say(self, text):
        os.write(self.terminal, text)

    def start_reply(self):
        self.wait_for(self.process.stderr, b"> ")
        self.say(b"Tell me a story.\n")
        self.wait_for(self.process.stdout, b" ")

    def finish(self):
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err.decode()

    def test_first_ends_the_reply_second_the_program(self):
        self.start_reply()
        self.process.send_signal(signal.SIGINT)
        self.start_reply()  # a second one is under way: the first was forgiven
        self.process.send_signal(signal.SIGINT)
        self.wait_for(self.process.stderr, b"> ")
        self.process.send_signal(signal.SIGINT)
        code, err = self.finish()
        self.assertEqual(code, 130)
        self.assertIn("tokens/s", err)

    def test_end_of_input(self):
        self.wait_for(self.process.stderr, b"> ")
        self.say(b"\x04")
        self.assertEqual(self.finish()[0], 0)

    def test_exit_and_sigterm(self):
        self.wait_for(self.process.stderr, b"> ")
        self.say(b"/exit\n")
        self.assertEqual(self.finish()[0], 0)

    def test_sigterm_ends_a_reply_and_the_program(self):
        self.start_reply()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish()[0], 143)


main()
