#include "bench/loops.h"

#define VECTOR_BYTES 64
#define SUFFIX 64
#include "bench/loops_impl.h"
