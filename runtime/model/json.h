// JSON of untrusted files, read with Jansson: parsing within limits, and values with errors that name the file and the key. A
// parsed tree lies in memory from malloc, not from the host's allocator; it is freed before the model is open.
#ifndef BN_MODEL_JSON_H
#define BN_MODEL_JSON_H

#include <jansson.h>

#include "runtime/base/host.h"
#include "runtime/base/str.h"

// A parsed file.
struct bn_json {
    const char *file; // for messages
    json_t *root;     // an object
    struct bn_error *err;
};

// The text must be one object, in which no name occurs twice. On failure there is nothing to finish.
// Errors: BN_ERR_MODEL, BN_ERR_NO_MEMORY.
enum bn_result bn_json_init(struct bn_json *json, const char *file, struct bn_str text, struct bn_error *err);
void bn_json_finish(struct bn_json *json); // also if it was never begun but is zeroed

// A failure of this file; `subject` is a key or NULL.
enum bn_result bn_json_fail(const struct bn_json *json, enum bn_result code, const char *subject, const char *format,
                            ...) BN_PRINTF(4, 5);

// Members of an object of the file. An absent one, or null, leaves *value alone if `required` is false.
// Errors: BN_ERR_MODEL (absent, or of another type or range).
enum bn_result bn_json_u32(const struct bn_json *json, const json_t *object, const char *name, bool required,
                           uint32_t *value);
enum bn_result bn_json_f32(const struct bn_json *json, const json_t *object, const char *name, bool required,
                           float *value);
enum bn_result bn_json_bool(const struct bn_json *json, const json_t *object, const char *name, bool required,
                            bool *value);
enum bn_result bn_json_str(const struct bn_json *json, const json_t *object, const char *name, bool required,
                           struct bn_str *value);
// *value is NULL if it is absent.
enum bn_result bn_json_object(const struct bn_json *json, const json_t *object, const char *name, bool required,
                              json_t **value);
enum bn_result bn_json_array(const struct bn_json *json, const json_t *object, const char *name, bool required,
                             json_t **value);

// Of a string.
struct bn_str bn_json_text(const json_t *string);
// An absent member, or null.
bool bn_json_absent(const json_t *object, const char *name);

#endif
