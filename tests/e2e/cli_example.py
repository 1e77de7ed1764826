"""The example for integrators: at most 40 lines, and it works.

usage: cli_example.py PROGRAM SOURCE
"""
from cli import *  # noqa: F403

PROGRAM, SOURCE = sys.argv[1:3]


class Example(unittest.TestCase):
    def setUp(self):
        with open(SOURCE, encoding="utf-8") as file:
            self.source = file.read()

    def test_short(self):
        self.assertLessEqual(self.source.count("\n"), 40)
        self.assertEqual(set(re.findall(r'#include [<"](\w+/)', self.source)), {"bitnet/"})

    def test_works(self):
        result = call(PROGRAM, MODEL, "Once upon a time")
        self.assertEqual((result.code, result.err), (0, ""))
        expected = run("-p", "Once upon a time", "--seed", "0", "--no-display-prompt").text
        self.assertEqual(result.text, expected.removesuffix("\n"))

    def test_fails_with_a_reason(self):
        for args, word in ((["/missing.gguf", "a"], "/missing.gguf"), ([], "usage"), ([MODEL, "a " * 999], "usage")):
            result = call(PROGRAM, *args)
            self.assertEqual(result.code, 1)
            self.assertIn(word, result.err)


main()
