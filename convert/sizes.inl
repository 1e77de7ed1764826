// The sizes of synthetic models.
//
// BN_SIZE(name, about, vocab, specials, merges, text, ctx, embd, layers, ff, heads, kv_heads, theta)
//   vocab     tokens, of which the last `specials` are special
//   merges    0: one per token that is not a byte
//   text      bytes of all tokens and merges together, hit within an alignment unit; 0: as they come

// Geometry, header and data offset of the published microsoft/bitnet-b1.58-2B-4T, 1.19 GB.
BN_SIZE("2b4t", "the published BitNet b1.58 2B-4T, 1.2 GB", 128256, 256, 280147, 4037034, 4096, 2560, 30, 6912, 20, 5,
        500000)
// For tests: everything small, with every ratio different from 1.
BN_SIZE("tiny", "2 layers of 128 features, 0.2 MB", 512, 16, 0, 0, 256, 128, 2, 384, 8, 2, 10000)
// For quick measurements.
BN_SIZE("small", "8 layers of 1024 features, 40 MB", 8192, 256, 0, 0, 2048, 1024, 8, 2816, 16, 4, 500000)
