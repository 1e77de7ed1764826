// THE table of model families: one row each (docs/add-a-model.md).
//
// BN_FAMILY(name, activation, other_vocab, other_layers, rope, tied, scales, masters)
//   name          general.architecture, which is also the prefix of the family's keys
//   activation    of the feed-forward when no key says otherwise
//   other_*       a model with this vocabulary and this many layers has the other activation; 0: none has
//   rope          which features of a head are rotated together
//   tied          output.weight may be absent: the head then is token_embd.weight
//   scales        matrices may come with a tensor NAME.scale of one element, which multiplies the matrix's own scale
//   masters       matrices of floats are what was trained: the rule of training makes them ternary

// The official 2B-4T file, and this project's.
BN_FAMILY("bitnet-b1.58", RELU2, 0, 0, HALVES, true, false, true)
// The same model as first published, April 2025.
BN_FAMILY("bitnet-25", RELU2, 0, 0, HALVES, false, false, true)
// 1bitLLM's reproductions (SiLU). Converters that know only this name also write 2B-4T with it.
BN_FAMILY("bitnet", SILU, 128256, 30, HALVES, true, true, true)
