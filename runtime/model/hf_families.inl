// Classes of transformers whose checkpoints are read; arch.inl says what they compute.
//
// BN_HF_FAMILY(class, model_type, architecture, members of struct bn_hf_family that are not zero)
//   theta, eps, head_dim   the defaults of the class's configuration

// microsoft/bitnet-b1.58-2B-4T, and -bf16.
BN_HF_FAMILY("BitNetForCausalLM", "bitnet", "bitnet-b1.58", .theta = 500000, .eps = 1e-5f, .ternary = true)
// 1bitLLM's reproductions.
BN_HF_FAMILY("BitnetForCausalLM", "llama", "bitnet", .theta = 10000, .eps = 1e-5f, .ternary = true)
// HF1BitLLM's Llama3-8B-1.58, tiiuae's Falcon3-1.58bit and Falcon-E, unpacked TriLM.
BN_HF_FAMILY("LlamaForCausalLM", "llama", "llama", .theta = 10000, .eps = 1e-6f)
BN_HF_FAMILY("Qwen3ForCausalLM", "qwen3", "qwen3", .theta = 10000, .eps = 1e-6f, .head_dim = 128)
BN_HF_FAMILY("Gemma3ForCausalLM", "gemma3_text", "gemma3", .theta = 1e6f, .eps = 1e-6f, .head_dim = 256,
             .post_norms = true, .norms_less_one = true)
// BitNet embeddings, sentence-transformers' backbones without a head. Their matrices have norms of their inputs and become
// ternary; without those norms the weights are what they are.
BN_HF_FAMILY("Qwen3Model", "qwen3", "qwen3", .theta = 10000, .eps = 1e-6f, .head_dim = 128, .embeds = true)
BN_HF_FAMILY("Gemma3TextModel", "gemma3_text", "gemma3", .theta = 1e6f, .eps = 1e-6f, .head_dim = 256,
             .post_norms = true, .norms_less_one = true, .embeds = true)
