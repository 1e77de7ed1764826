"""Makes the start of a small model file, up to the data of its tensors. usage: seed.py BITNET-CONVERT OUTPUT"""
import subprocess
import sys

convert, output = sys.argv[1:]
subprocess.run([convert, "--synthetic", "tiny", "--quiet", "--force", output], check=True)
with open(output, "rb") as f:
    data = f.read()
with open(output, "wb") as f:
    f.write(data[:data.rindex(b".weight") + 64])
