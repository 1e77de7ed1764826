// Typed values of GGUF keys.
#include <inttypes.h>
#include <string.h>

#include "runtime/model/gguf.h"

// The key, or NULL in *key if it is absent and may be.
static enum bn_result find(const struct bn_gguf *gguf, const char *name, bool required, const struct bn_gguf_key **key,
                           struct bn_error *err)
{
    *key = bn_gguf_find(gguf, name);
    if (*key || !required)
        return BN_OK;
    struct bn_str subject = {name, strlen(name)};
    return bn_gguf_fail(gguf, BN_ERR_MODEL, &subject, UINT64_MAX, err, "the key is missing");
}

static enum bn_result wrong_type(const struct bn_gguf *gguf, const struct bn_gguf_key *key, const char *wanted,
                                 struct bn_error *err)
{
    if (key->type == BN_GGUF_ARRAY)
        return bn_gguf_fail(gguf, BN_ERR_MODEL, &key->name, key->offset, err,
                            "the value is an array of %s, expected %s", bn_gguf_type_name(key->element), wanted);
    return bn_gguf_fail(gguf, BN_ERR_MODEL, &key->name, key->offset, err, "the value is of type %s, expected %s",
                        bn_gguf_type_name(key->type), wanted);
}

// Bytes of an integer; 0: of another type.
static unsigned integer_bytes(enum bn_gguf_type type)
{
    static const uint8_t bytes[BN_GGUF_TYPE_COUNT] = {
        [BN_GGUF_U8] = 1,  [BN_GGUF_I8] = 1,  [BN_GGUF_U16] = 2, [BN_GGUF_I16] = 2,
        [BN_GGUF_U32] = 4, [BN_GGUF_I32] = 4, [BN_GGUF_U64] = 8, [BN_GGUF_I64] = 8,
    };
    return bytes[type];
}

// Any integer of at most 64 bits; false for other types. `negative`: *bits holds a negative i64.
static bool integer(const struct bn_gguf_key *key, uint64_t *bits, bool *negative)
{
    unsigned bytes = integer_bytes(key->type);
    bool is_signed =
        key->type == BN_GGUF_I8 || key->type == BN_GGUF_I16 || key->type == BN_GGUF_I32 || key->type == BN_GGUF_I64;
    if (bytes == 0)
        return false;
    *bits = 0;
    memcpy(bits, key->data, bytes);
    *negative = is_signed && *bits >> (8 * bytes - 1);
    if (*negative && bytes < 8)
        *bits |= UINT64_MAX << (8 * bytes);
    return true;
}

enum bn_result bn_gguf_get_u32(const struct bn_gguf *gguf, const char *name, bool required, uint32_t *value,
                               struct bn_error *err)
{
    const struct bn_gguf_key *key;
    enum bn_result result = find(gguf, name, required, &key, err);
    if (!key)
        return result;
    uint64_t bits;
    bool negative;
    if (!integer(key, &bits, &negative))
        return wrong_type(gguf, key, "an integer", err);
    if (negative || bits > UINT32_MAX)
        return bn_gguf_fail(gguf, BN_ERR_MODEL, &key->name, key->offset, err,
                            "the value is out of range: expected 0 to %" PRIu32, UINT32_MAX);
    *value = (uint32_t)bits;
    return BN_OK;
}

enum bn_result bn_gguf_get_i64(const struct bn_gguf *gguf, const char *name, bool required, int64_t *value,
                               struct bn_error *err)
{
    const struct bn_gguf_key *key;
    enum bn_result result = find(gguf, name, required, &key, err);
    if (!key)
        return result;
    uint64_t bits;
    bool negative;
    if (!integer(key, &bits, &negative))
        return wrong_type(gguf, key, "an integer", err);
    if (!negative && bits > INT64_MAX)
        return bn_gguf_fail(gguf, BN_ERR_MODEL, &key->name, key->offset, err, "the value is out of range");
    memcpy(value, &bits, sizeof(bits));
    return BN_OK;
}

enum bn_result bn_gguf_get_f32(const struct bn_gguf *gguf, const char *name, bool required, float *value,
                               struct bn_error *err)
{
    const struct bn_gguf_key *key;
    enum bn_result result = find(gguf, name, required, &key, err);
    if (!key)
        return result;
    if (key->type == BN_GGUF_F32) {
        memcpy(value, key->data, sizeof(*value));
    } else if (key->type == BN_GGUF_F64) {
        double wide;
        memcpy(&wide, key->data, sizeof(wide));
        // Written so that NaN is refused too; a conversion that overflows would be undefined.
        if (!(wide >= -3.4028234663852886e38 && wide <= 3.4028234663852886e38))
            return bn_gguf_fail(gguf, BN_ERR_MODEL, &key->name, key->offset, err, "the value is out of range of f32");
        *value = (float)wide;
    } else {
        return wrong_type(gguf, key, "a number of type f32", err);
    }
    return BN_OK;
}

enum bn_result bn_gguf_get_bool(const struct bn_gguf *gguf, const char *name, bool required, bool *value,
                                struct bn_error *err)
{
    const struct bn_gguf_key *key;
    enum bn_result result = find(gguf, name, required, &key, err);
    if (!key)
        return result;
    if (key->type != BN_GGUF_BOOL)
        return wrong_type(gguf, key, "a bool", err);
    *value = *key->data != 0;
    return BN_OK;
}

enum bn_result bn_gguf_get_str(const struct bn_gguf *gguf, const char *name, bool required, struct bn_str *value,
                               struct bn_error *err)
{
    const struct bn_gguf_key *key;
    enum bn_result result = find(gguf, name, required, &key, err);
    if (!key)
        return result;
    if (key->type != BN_GGUF_STRING)
        return wrong_type(gguf, key, "a string", err);
    const uint8_t *at = key->data;
    *value = bn_gguf_next_str(&at);
    return BN_OK;
}

enum bn_result bn_gguf_get_integers(const struct bn_gguf *gguf, const char *name, bool required,
                                    const struct bn_gguf_key **key, struct bn_error *err)
{
    enum bn_result result = find(gguf, name, required, key, err);
    if (!*key)
        return result;
    if ((*key)->type != BN_GGUF_ARRAY || integer_bytes((*key)->element) == 0) {
        result = wrong_type(gguf, *key, "integers", err);
        *key = NULL;
    }
    return result;
}

int64_t bn_gguf_integer_at(const struct bn_gguf_key *key, uint64_t i)
{
    const struct bn_gguf_key element = {.type = key->element, .data = key->data + i * integer_bytes(key->element)};
    uint64_t bits = 0;
    bool negative;
    integer(&element, &bits, &negative);
    int64_t value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

enum bn_result bn_gguf_get_array(const struct bn_gguf *gguf, const char *name, bool required, enum bn_gguf_type element,
                                 const struct bn_gguf_key **key, struct bn_error *err)
{
    enum bn_result result = find(gguf, name, required, key, err);
    if (!*key)
        return result;
    if ((*key)->type != BN_GGUF_ARRAY || (*key)->element != element) {
        result = wrong_type(gguf, *key, bn_gguf_type_name(element), err);
        *key = NULL;
    }
    return result;
}

struct bn_str bn_gguf_next_str(const uint8_t **at)
{
    uint64_t bytes;
    memcpy(&bytes, *at, sizeof(bytes));
    struct bn_str str = {(const char *)*at + sizeof(bytes), (size_t)bytes};
    *at += sizeof(bytes) + bytes;
    return str;
}
