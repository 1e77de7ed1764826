#include "runtime/model/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"

enum bn_result bn_json_init(struct bn_json *json, const char *file, struct bn_str text, struct bn_error *err)
{
    json_error_t error;
    *json = (struct bn_json){.file = file, .err = err};
    // Jansson limits the depth itself. Strings with a zero in them are refused: names end at one.
    json->root = json_loadb(text.data, text.bytes, JSON_REJECT_DUPLICATES, &error);
    if (!json->root && json_error_code(&error) == json_error_out_of_memory)
        return bn_fail_memory(err, text.bytes, "a JSON text");
    if (!json->root)
        return bn_fail_at(err, BN_ERR_MODEL, file, NULL, error.position < 0 ? UINT64_MAX : (uint64_t)error.position,
                          "not JSON that can be read: %s", error.text);
    if (json_is_object(json->root))
        return BN_OK;
    bn_json_finish(json);
    return bn_fail_at(err, BN_ERR_MODEL, file, NULL, 0, "not a JSON object");
}

void bn_json_finish(struct bn_json *json)
{
    json_decref(json->root);
    json->root = NULL;
}

enum bn_result bn_json_fail(const struct bn_json *json, enum bn_result code, const char *subject, const char *format,
                            ...)
{
    char message[sizeof(json->err->message)];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return bn_fail_at(json->err, code, json->file, subject, UINT64_MAX, "%s", message);
}

static enum bn_result wrong(const struct bn_json *json, const char *name, const char *expected)
{
    return bn_json_fail(json, BN_ERR_MODEL, name, "expected %s", expected);
}

bool bn_json_absent(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return !value || json_is_null(value);
}

// The member, or NULL in *value if it is absent and may be.
static enum bn_result find(const struct bn_json *json, const json_t *object, const char *name, bool required,
                           json_t **value)
{
    *value = bn_json_absent(object, name) ? NULL : json_object_get(object, name);
    return *value || !required ? BN_OK : bn_json_fail(json, BN_ERR_MODEL, name, "the key is missing");
}

enum bn_result bn_json_u32(const struct bn_json *json, const json_t *object, const char *name, bool required,
                           uint32_t *value)
{
    json_t *found;
    enum bn_result result = find(json, object, name, required, &found);
    if (!found)
        return result;
    if (!json_is_integer(found) || json_integer_value(found) < 0 || json_integer_value(found) > UINT32_MAX)
        return wrong(json, name, "a whole number from 0 to 4294967295");
    *value = (uint32_t)json_integer_value(found);
    return BN_OK;
}

enum bn_result bn_json_f32(const struct bn_json *json, const json_t *object, const char *name, bool required,
                           float *value)
{
    json_t *found;
    enum bn_result result = find(json, object, name, required, &found);
    if (!found)
        return result;
    double wide = json_number_value(found);
    if (!json_is_number(found) || !(wide >= -3.4028234663852886e38 && wide <= 3.4028234663852886e38))
        return wrong(json, name, "a number within the range of f32");
    *value = (float)wide;
    return BN_OK;
}

enum bn_result bn_json_bool(const struct bn_json *json, const json_t *object, const char *name, bool required,
                            bool *value)
{
    json_t *found;
    enum bn_result result = find(json, object, name, required, &found);
    if (!found)
        return result;
    if (!json_is_boolean(found))
        return wrong(json, name, "true or false");
    *value = json_is_true(found);
    return BN_OK;
}

enum bn_result bn_json_str(const struct bn_json *json, const json_t *object, const char *name, bool required,
                           struct bn_str *value)
{
    json_t *found;
    enum bn_result result = find(json, object, name, required, &found);
    if (!found)
        return result;
    if (!json_is_string(found))
        return wrong(json, name, "a string");
    *value = bn_json_text(found);
    return BN_OK;
}

enum bn_result bn_json_object(const struct bn_json *json, const json_t *object, const char *name, bool required,
                              json_t **value)
{
    enum bn_result result = find(json, object, name, required, value);
    if (!*value || json_is_object(*value))
        return result;
    *value = NULL;
    return wrong(json, name, "an object");
}

enum bn_result bn_json_array(const struct bn_json *json, const json_t *object, const char *name, bool required,
                             json_t **value)
{
    enum bn_result result = find(json, object, name, required, value);
    if (!*value || json_is_array(*value))
        return result;
    *value = NULL;
    return wrong(json, name, "an array");
}

struct bn_str bn_json_text(const json_t *string)
{
    return (struct bn_str){json_string_value(string), json_string_length(string)};
}
