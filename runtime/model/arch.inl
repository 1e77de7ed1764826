// THE table of model families: one row each (docs/add-a-model.md).
//
// BN_FAMILY(name, members of struct bn_family that are not their default)
//   name          general.architecture, which is also the prefix of the family's keys
//   activation    of the feed-forward when no key says otherwise
//   other_*       a model with this vocabulary and this many layers has the other activation; 0: none has
//   rope          which features of a head are rotated together
//   parts         tensors of a layer beyond the matrices, attn_norm and ffn_norm: all models have them
//   may_have      likewise: a model has them in every layer or in none
//   tied          output.weight may be absent: the head then is token_embd.weight
//   scales        matrices may come with a tensor NAME.scale of one element, which multiplies the matrix's own scale
//   masters       matrices of floats are what was trained: the rule of training makes them ternary
//   planes        of the quantised activations. 1: int8, as the model was trained; 2: 16 bits, for models that were trained
//                 with ternary weights only
//   wide_pre      a model with this pre-tokeniser was trained with ternary weights only
//   embed_scale   the embedding is multiplied by sqrt(n_embd)
//   period        with a sliding window, every period-th layer sees everything; 0: the family has no window
//   local_theta   base of RoPE's frequencies in layers with a window; 0: that of the others

// The official 2B-4T file, and this project's. Trained with int8 activations: transformers' modeling_bitnet.py.
BN_FAMILY("bitnet-b1.58", .activation = BN_ACTIVATION_RELU2, .parts = BN_PART_SUB_NORM, .tied = true,
          .masters = true)
// The same model as first published, April 2025.
BN_FAMILY("bitnet-25", .activation = BN_ACTIVATION_RELU2, .parts = BN_PART_SUB_NORM, .masters = true)
// 1bitLLM's reproductions (SiLU), int8 activations: their utils_quant.py. Converters that know only this name also write
// 2B-4T with it.
BN_FAMILY("bitnet", .activation = BN_ACTIVATION_SILU, .other_vocab = 128256, .other_layers = 30,
          .parts = BN_PART_SUB_NORM, .tied = true, .scales = true, .masters = true)
// HF1BitLLM's Llama3-8B-1.58 and TII's Falcon3-1.58 and Falcon-E, int8 activations: transformers' integrations/bitnet.py,
// TII's onebitllms. TriLM, ternary weights only: Spectra, arXiv 2407.12327, section 3; it has the tokenizer of GPT-NeoX.
BN_FAMILY("llama", .activation = BN_ACTIVATION_SILU, .rope = BN_ROPE_PAIRS, .tied = true, .scales = true,
          .wide_pre = {"olmo", "gpt-neox"})
// Ternary Bonsai, ternary weights only: its model cards. BitNet embeddings 0.6B, which have norms before each matrix, int8
// activations: docs/bitnet-embeddings-i2s-guide.md of bitnet.cpp.
BN_FAMILY("qwen3", .activation = BN_ACTIVATION_SILU, .parts = BN_PART_HEAD_NORM, .may_have = BN_PART_INPUT_NORM,
          .tied = true, .planes = 2)
// BitNet embeddings 270M, int8 activations: the same guide.
BN_FAMILY("gemma3", .activation = BN_ACTIVATION_GELU, .parts = BN_PART_HEAD_NORM | BN_PART_POST_NORM,
          .may_have = BN_PART_INPUT_NORM, .tied = true, .embed_scale = true, .period = 6, .local_theta = 10000)
