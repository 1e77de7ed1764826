#include "common/json.h"
#include "common/fail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <bitnet/text.h>

int tool_json_missing(const char *program)
{
#if BN_HAVE_JANSSON
    (void)program;
    return TOOL_EXIT_OK;
#else
    tool_say(program, "--json: this build has no jansson, the library that writes JSON");
    return TOOL_EXIT_USAGE;
#endif
}

#if BN_HAVE_JANSSON
json_t *tool_json_text(const char *text, size_t bytes)
{
    struct bn_utf8_stream stream = {{0}, 0};
    if (bytes > SIZE_MAX / 3 - 24)
        return NULL;
    char *clean = malloc(3 * bytes + 24);
    if (!clean)
        return NULL;
    size_t n = bytes ? bn_utf8_push(&stream, text, bytes, clean) : 0;
    n += bn_utf8_push(&stream, NULL, 0, clean + n);
    json_t *value = json_stringn(clean, n);
    free(clean);
    return value;
}

json_t *tool_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int tool_json_print(struct tool_out *out, const char *program, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (!text) {
        tool_say(program, "out of memory");
        return TOOL_EXIT_RESOURCE;
    }
    tool_out_text(out, text);
    tool_out_text(out, "\n");
    free(text);
    return TOOL_EXIT_OK;
}
#endif
