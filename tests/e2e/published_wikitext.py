"""Perplexity of the published microsoft/bitnet-b1.58-2B-4T on wikitext-2, against the official engine's 17.1090 +- 0.128.

Runs if BITNET_TEST_2B4T names ggml-model-i2_s.gguf and BITNET_TEST_WIKITEXT the text, wiki.test.raw of wikitext-2-raw-v1; takes
hours on few CPUs. Windows of 512 tokens of which the second half counts, as llama-perplexity does.
"""
import json
import os
import subprocess
import sys

model, text = os.environ.get("BITNET_TEST_2B4T"), os.environ.get("BITNET_TEST_WIKITEXT")
if not model or not text:
    print("BITNET_TEST_2B4T and BITNET_TEST_WIKITEXT do not name the published model's file and wiki.test.raw")
    sys.exit(77)
result = subprocess.run([sys.argv[1], "-m", model, "--perplexity", text, "-c", "512", "--json", "-q"], stdout=subprocess.PIPE,
                        check=True)
value = json.loads(result.stdout)["perplexity"]
print(f"perplexity {value:.4f}, the official engine's is 17.1090")
sys.exit(abs(value - 17.109) > 0.128)
