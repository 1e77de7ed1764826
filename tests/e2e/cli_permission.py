"""A model that may not be read. Root may read everything, so it tries as another user."""
from cli import *  # noqa: F403


class NoPermission(unittest.TestCase):
    def test(self):
        secret = write("secret.gguf", b"GGUF")
        os.chmod(secret, 0)
        as_nobody = {}
        if os.geteuid() == 0:
            os.chmod(scratch.name, 0o755)
            as_nobody = {"user": 65534}
            try:
                call(RUN, "--version", **as_nobody)
            except PermissionError:
                self.skipTest("root may read everything, and the build folder is closed to other users")
        result = call(RUN, "-m", secret, "-p", "a", **as_nobody)
        self.assertEqual((result.code, result.out), (2, b""))
        self.assertIn("secret.gguf: ", result.err)
        self.assertIn("Permission denied", result.err)


main(needs_model=False)
