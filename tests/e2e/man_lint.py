"""Man pages are free of mandoc's warnings.

usage: man_lint.py PAGE...
"""
import shutil
import subprocess
import sys

if not shutil.which("mandoc"):
    print("mandoc is not installed")
    sys.exit(77)
sys.exit(subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *sys.argv[1:]], check=False).returncode)
