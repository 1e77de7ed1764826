"""The man page of a tool has the options of its --help, and no others.

usage: cli_man.py PAGE TOOL
"""
from cli import *  # noqa: F403

PAGE, TOOL = sys.argv[1:3]


def page_options():
    """Names of the list items: ".It Fl m , Fl -model Ar NAME" gives -m and --model."""
    rows = []
    with open(PAGE, encoding="utf-8") as file:
        for line in file:
            if line.startswith(".It Fl "):
                rows.append(["-" + name for name in re.findall(r"Fl (\S+)", line)])
    return rows


class Page(unittest.TestCase):
    def test_options(self):
        wanted = [names for _, names, _ in options_of(TOOL)]
        self.assertGreater(len(wanted), 3)
        found = page_options()
        self.assertEqual(sorted(map(sorted, found)), sorted(map(sorted, wanted)))


main(needs_model=False)
