// THE table of ops: what each takes and gives. Columns: kind, name, weights, their class, then the extent of each operand
// (see op_check.c): in, in2, in3, out, out2, norm, norm2, kv, rope. "_" is absent, OPT_x may be absent.
// Weights of the class FLOAT may have any layout; they are read as floats.
BN_OP(EMBED, "embed", 1, FLOAT, _, _, _, ROWS_COLS, _, _, _, _, _)
BN_OP(QUANTISE, "quantise", 0, FLOAT, ROWS_COLS, _, _, ROWS_COLS_I8, ROWS_SCALE, OPT_COLS, _, _, _)
BN_OP(MATMUL, "matmul", 1, TERNARY, ROWS_COLS_I8, ROWS_SCALE, OPT_ROWS_W0, ROWS_W0, _, _, _, _, _)
BN_OP(QKV, "qkv", 3, TERNARY, ROWS_COLS_I8, ROWS_SCALE, _, ROWS_W0, _, OPT_HEAD, OPT_HEAD, PAGES, ROPE)
BN_OP(ATTENTION, "attention", 0, FLOAT, ROWS_HEADS, _, _, ROWS_HEADS, _, _, _, PAGES, _)
BN_OP(GATE_UP, "gate_up", 2, TERNARY, ROWS_COLS_I8, ROWS_SCALE, _, ROWS_W0, _, _, _, _, _)
BN_OP(NORM, "norm", 0, FLOAT, ROWS_COLS, _, _, ROWS_COLS, _, COLS, _, _, _)
BN_OP(HEAD, "head", 1, FLOAT, ROWS_COLS, _, _, ROWS_W0, _, _, _, _, _)
BN_OP(TOP, "top", 1, FLOAT, ROWS_COLS, W0_COLS_I8, W0_SCAN, ROWS_TOP, ROWS_W0, _, _, _, _)
BN_OP(KV_COPY, "kv_copy", 0, FLOAT, _, _, _, _, _, _, _, PAGES, _)
BN_OP(COPY, "copy", 0, FLOAT, ANY, _, _, SAME_AS_IN, _, _, _, _, _)
BN_OP(QUANTISE16, "quantise16", 0, FLOAT, ROWS_COLS, _, _, ROWS_COLS_I8, ROWS_SCALE, OPT_COLS, _, _, _)
BN_OP(NORM_ROWS, "norm_rows", 0, FLOAT, ROWS_COLS, _, OPT_ROWS_COLS, ROWS_COLS, _, COLS, _, _, _)
BN_OP(APPEND, "append", 0, FLOAT, ROWS_HEADS, ROWS_KV, ROWS_KV, ROWS_HEADS, _, OPT_HEAD, OPT_HEAD, PAGES, ROPE)
BN_OP(ACTIVATE, "activate", 0, FLOAT, ROWS_COLS, ROWS_COLS, _, ROWS_COLS, _, _, _, _, _)
