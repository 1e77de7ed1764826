// How tokenizer.json says which pre-tokeniser it means.
//
// BN_HF_PRE(regex, name)
//   regex   of its one Split; "" stands for ByteLevel's own, use_regex
//   name    the row of runtime/text/pre.inl that cuts text in the same way

BN_HF_PRE("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
          "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          "llama-bpe")
BN_HF_PRE("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
          "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          "qwen2")
BN_HF_PRE("", "gpt-2")
