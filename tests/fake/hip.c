// libamdhip64.so.6
#define FAKE_HIP
#include "fake/streams.c"
