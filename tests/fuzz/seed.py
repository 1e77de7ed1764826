"""The start of a small model file, up to the data of its tensors. usage: seed.py MODEL OUTPUT"""
import sys

with open(sys.argv[1], "rb") as f:
    data = f.read()
with open(sys.argv[2], "wb") as f:
    f.write(data[:data.rindex(b".weight") + 64])
