#include "runtime/base/dynlib.h"

#include <dlfcn.h>
#include <stdio.h>

#include "runtime/base/fail.h"

void *bn_dynlib_open(const char *const *names, char *reason, size_t reason_size)
{
    for (const char *const *name = names; *name; name++) {
        void *library = dlopen(*name, RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
        const char *why = dlerror();
        if (name == names)
            snprintf(reason, reason_size, "%s", why ? why : "the library cannot be opened");
    }
    bn_make_printable(reason);
    return NULL;
}

bn_dynlib_function bn_dynlib_symbol(void *library, const char *name)
{
    union {
        void *in;
        bn_dynlib_function out; // POSIX promises that this works; ISO C has no cast for it
    } symbol = {dlsym(library, name)};
    return symbol.out;
}

void bn_dynlib_close(void *library)
{
    if (library)
        dlclose(library);
}
