// Unicode's form NFC: characters are taken apart, marks put in order, and what composes is put together.
#ifndef BN_TEXT_NFC_H
#define BN_TEXT_NFC_H

#include "runtime/base/host.h"

// Well-formed UTF-8 in form NFC. *out is NULL if the text is already; else memory of the host, the caller's to free, with
// *out_bytes bytes. Errors: BN_ERR_NO_MEMORY.
enum bn_result bn_nfc(const struct bn_host *host, const char *text, size_t bytes, char **out, size_t *out_bytes,
                      struct bn_error *err);

#endif
