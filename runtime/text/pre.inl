// Pre-tokenisers of byte-level BPE: how text is cut into pieces, inside which tokens are merged.
//
// BN_PRE(names, architectures, whole, nfc, add_bos, pattern)
//   names          values of tokenizer.ggml.pre; the first is the one we report
//   architectures  whose files mean this row when they lack the key; "" stands for all that no row names
//   whole          a piece that is a token is that token, whatever the merges say
//   nfc            text is put into Unicode's form NFC first
//   add_bos        what a file means that does not say (tokenizer.ggml.add_bos_token)
//   pattern        for PCRE2; must match at every position of every text. SPACE is White_Space of Unicode, which
//                  \s of PCRE2 exceeds by U+180E.
//
// llama-bpe: Llama 3, and BitNet b1.58 2B-4T, whose published files lack the key; Falcon 3 and Falcon-E, as llama.cpp and
//   ik_llama.cpp have it.
// qwen2: Qwen 2 and 3, hence Bonsai. Form NFC is what their Hugging Face tokenizers do; llama.cpp does not.
// olmo: GPT-NeoX, hence TriLM, splits as GPT-2 does, but form NFC comes first; llama.cpp's name for it.
// gpt-2: also for files without the key, or with "default", of any other architecture, with a warning. (llama.cpp has a pattern
//   of its own for them, which no model was trained with.)

// clang-format off
BN_PRE(BN_LIST("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon_e"), BN_LIST("bitnet-b1.58", "bitnet-25", "bitnet"),
       true, false, true,
       "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
       "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
       "|\\p{N}{1,3}"
       "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*"
       "|[" SPACE "]*[\\r\\n]+"
       "|[" SPACE "]+(?![^" SPACE "])"
       "|[" SPACE "]+")
BN_PRE(BN_LIST("qwen2"), BN_LIST("qwen3"), false, true, false,
       "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
       "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
       "|\\p{N}"
       "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*"
       "|[" SPACE "]*[\\r\\n]+"
       "|[" SPACE "]+(?![^" SPACE "])"
       "|[" SPACE "]+")
#define GPT2 \
       "'(?:s|t|re|ve|m|ll|d)" \
       "| ?\\p{L}+" \
       "| ?\\p{N}+" \
       "| ?[^" SPACE "\\p{L}\\p{N}]+" \
       "|[" SPACE "]+(?![^" SPACE "])" \
       "|[" SPACE "]+"
BN_PRE(BN_LIST("olmo", "gpt-neox"), BN_LIST(NULL), false, true, false, GPT2)
BN_PRE(BN_LIST("gpt-2"), BN_LIST(""), false, false, false, GPT2)
#undef GPT2
// clang-format on
