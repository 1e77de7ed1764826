#include "bench/loops.h"

#define VECTOR_BYTES 32
#define SUFFIX 32
#include "bench/loops_impl.h"
