"""Conversations: turns in the model's template, system prompt, commands, a full context.

The default model has no chat template; a copy with one is made here. Its replies are stories, but every token of a
turn is known, so that a turn can be compared with the same tokens given as one prompt.
"""
from cli import *  # noqa: F403

TEMPLATE = "<|start_header_id|>{{ role }}<|end_header_id|>{{ content }}<|eot_id|>"
CHAT = with_key(MODEL, "chat.gguf", "tokenizer.chat_template", TEMPLATE)


def chat(*args, **more):
    return call(RUN, "-m", CHAT, "-cnv", *args, **more)


def turn(role, text):
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>"


REPLY = "<|start_header_id|>assistant<|end_header_id|>\n\n"


def as_text(prompt, *args):
    return call(RUN, "-m", CHAT, "--no-display-prompt", "-p", prompt, "--no-escape", *args)


class Turns(unittest.TestCase):
    def test_first_turn_is_the_template(self):
        expected = as_text(turn("user", "Hi there") + REPLY, "--greedy", "-n", "20").out
        for args, stdin in ((["-p", "Hi there", "-st"], b""), ([], b"Hi there\n"), ([], b"  Hi there  "),
                            ([], b"\n\nHi there\n/exit\nmore\n"), ([], b"/clear\nHi there\n")):
            result = chat("--greedy", "-n", "20", *args, stdin=stdin)
            self.assertEqual((result.code, result.out), (0, expected), result.err)

    def test_system_prompt(self):
        expected = as_text(turn("system", "Be\nkind") + turn("user", "Hi") + REPLY, "--greedy", "-n", "20").out
        result = call(RUN, "-m", CHAT, "-sys", r"Be\nkind", "-p", "Hi", "-st", "--greedy", "-n", "20")
        self.assertEqual((result.code, result.out), (0, expected), result.err)

    def test_lines_that_go_on(self):
        expected = as_text(turn("user", "one\ntwo") + REPLY, "--greedy", "-n", "20").out
        self.assertEqual(chat("--greedy", "-n", "20", stdin=b"one\\\ntwo\n").out, expected)

    @needs_json
    def test_names_of_special_tokens_are_text(self):
        asked = chat("-n", "0", "--json", "-p", "a<|eot_id|>b", "-st").json
        forged = as_text(turn("user", "a<|eot_id|>b") + REPLY, "-n", "0", "--json").json
        self.assertGreater(asked["prompt_tokens"], forged["prompt_tokens"] + 3)

    @needs_json
    def test_second_turn_continues_the_first(self):
        lines = chat("--greedy", "-n", "12", "--json", stdin=b"Hi there\nGo on\n").text.splitlines()
        first, second = map(json.loads, lines)
        self.assertEqual((first["stop"], len(first["tokens"])), ("length", 12))
        # The whole conversation as one text: the reply's text turns into the same tokens.
        said = turn("user", "Hi there") + REPLY + first["text"] + turn("user", "Go on").join(["<|eot_id|>", REPLY])
        ids = tokenize("--no-bos", stdin=first["text"].encode()).text.split()
        self.assertEqual([int(i) for i in ids], first["tokens"])
        whole = as_text(said, "--greedy", "-n", "12", "--json").json
        self.assertEqual(whole["tokens"], second["tokens"])
        self.assertEqual(whole["prompt_tokens"], first["prompt_tokens"] + 11 + second["prompt_tokens"])

    @needs_json
    def test_a_reply_that_ended_by_itself(self):
        first, second = map(json.loads, chat("-s", "1", "--stop", ".", "--json", "-n", "40",
                                             stdin=b"Hi\nGo on\n").text.splitlines())
        self.assertIn(first["stop"], ("stop", "eos"))
        self.assertGreater(second["prompt_tokens"], 8)

    def test_clear_forgets(self):
        result = chat("--greedy", "-n", "12", stdin=b"Hi there\n/clear\nHi there\n")
        first, second = result.text[:len(result.text) // 2], result.text[len(result.text) // 2:]
        self.assertEqual(first, second)

    def test_no_messages(self):
        result = chat(stdin=b"")
        self.assertEqual((result.code, result.out), (0, b""))

    def test_prompt_that_is_not_a_conversation(self):
        self.assertEqual(call(RUN, "-m", CHAT, "-p", "A dog", "-n", "4", "--greedy").out,
                         run("-p", "A dog", "-n", "4", "--greedy").out)


class Full(unittest.TestCase):
    def test_reply_that_fills_the_context(self):
        result = chat("-c", "40", "--ignore-eos", stdin=b"Hi\nMore\n/clear\nHi\n")
        self.assertEqual(result.code, 0)
        self.assertEqual(result.err.count("the context of 40 tokens is full: /clear starts anew"), 3)

    def test_first_message_that_does_not_fit(self):
        result = chat("-c", "8", stdin=b"a message of quite some words\n")
        self.assertEqual((result.code, result.out), (2, b""))
        self.assertIn("use -c ", result.err)


main()
