// Libraries opened at run time: the only dlopen of the library.
#ifndef BN_BASE_DYNLIB_H
#define BN_BASE_DYNLIB_H

#include <stddef.h>

// Opens the first of `names` (NULL at the end) that the system has. NULL if none; then `reason` is a sentence for people,
// without a full stop, about the first of them.
// Ownership: the caller closes it. Threads: any.
void *bn_dynlib_open(const char *const *names, char *reason, size_t reason_size);

// A function of the library, to be cast to its type; NULL if there is none of this name.
typedef void (*bn_dynlib_function)(void);
bn_dynlib_function bn_dynlib_symbol(void *library, const char *name);

void bn_dynlib_close(void *library); // NULL is fine

#endif
