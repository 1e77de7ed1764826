// tokenizer.json of SentencePiece vocabularies: what is done to a text before it is cut, as steps of Hugging Face's normalisers
// and pre-tokenisers. Steps that would do anything else than SentencePiece does are refused.
#include <string.h>

#include "runtime/model/hf_impl.h"

#define MARK "\xe2\x96\x81"

// What the steps found so far add up to.
struct steps {
    const struct bn_json *json;
    struct bn_hf_pieces *pieces;
    bool prepends, escapes, collapses, strips;
    bool metaspace;
};

static enum bn_result refuse(const struct steps *s, const char *subject, const char *what, struct bn_str value)
{
    char text[160];
    return bn_json_fail(s->json, BN_ERR_UNSUPPORTED, subject, "%s \"%s\"", what,
                        bn_str_text(value, text, sizeof(text)));
}

static enum bn_result read_replace(struct steps *s, const json_t *step)
{
    json_t *pattern;
    struct bn_str string = {0}, regex = {0}, content = {0};
    enum bn_result result = bn_json_object(s->json, step, "pattern", true, &pattern);
    if (result == BN_OK)
        result = bn_json_str(s->json, pattern, "String", false, &string);
    if (result == BN_OK)
        result = bn_json_str(s->json, pattern, "Regex", false, &regex);
    if (result == BN_OK)
        result = bn_json_str(s->json, step, "content", true, &content);
    if (result != BN_OK)
        return result;
    if (bn_str_is(string, " ") && bn_str_is(content, MARK))
        s->escapes = true;
    else if (bn_str_is(regex, " {2,}") && (bn_str_is(content, " ") || bn_str_is(content, MARK)))
        s->collapses = true;
    else if (bn_str_is(regex, "\\A +| +\\z") && content.bytes == 0)
        s->strips = true;
    else
        return refuse(s, "normalizer", "replaces in a way that is not supported:", string.data ? string : regex);
    return BN_OK;
}

static enum bn_result read_normaliser(struct steps *s, const json_t *step)
{
    struct bn_str type = {0}, text = {0};
    enum bn_result result = bn_json_str(s->json, step, "type", true, &type);
    if (result != BN_OK)
        return result;
    if (bn_str_is(type, "Replace"))
        return read_replace(s, step);
    if (!bn_str_is(type, "Prepend"))
        return refuse(s, "normalizer", "is of a type that is not supported for SentencePiece:", type);
    result = bn_json_str(s->json, step, "prepend", true, &text);
    s->prepends = true;
    return result != BN_OK || bn_str_is(text, MARK) ? result : refuse(s, "normalizer", "prepends", text);
}

// `add_prefix_space` is what older versions have instead of the scheme.
static enum bn_result read_metaspace(struct steps *s, const json_t *step)
{
    struct bn_str mark = {MARK, 3}, scheme = {"always", 6};
    bool add = true, split = true;
    enum bn_result result = bn_json_str(s->json, step, "replacement", false, &mark);
    if (result == BN_OK)
        result = bn_json_bool(s->json, step, "add_prefix_space", false, &add);
    if (result == BN_OK && !add)
        scheme = (struct bn_str){"never", 5};
    if (result == BN_OK)
        result = bn_json_str(s->json, step, "prepend_scheme", false, &scheme);
    if (result == BN_OK)
        result = bn_json_bool(s->json, step, "split", false, &split);
    if (result != BN_OK)
        return result;
    if (!bn_str_is(mark, MARK))
        return refuse(s, "pre_tokenizer", "a Metaspace of", mark);
    s->metaspace = s->escapes = true;
    s->pieces->splits = split;
    if (bn_str_is(scheme, "always"))
        s->pieces->prefix = BN_HF_PREFIX_METASPACE;
    else if (bn_str_is(scheme, "first"))
        s->pieces->prefix = BN_HF_PREFIX_FIRST;
    else if (!bn_str_is(scheme, "never"))
        return refuse(s, "pre_tokenizer", "a prepend_scheme that is not known:", scheme);
    return BN_OK;
}

// A split at spaces comes after they became marks, and finds none: Gemma's.
static enum bn_result read_pre(struct steps *s, const json_t *step)
{
    struct bn_str type = {0}, string = {0};
    json_t *pattern;
    enum bn_result result = bn_json_str(s->json, step, "type", true, &type);
    if (result == BN_OK && bn_str_is(type, "Metaspace"))
        return read_metaspace(s, step);
    if (result == BN_OK && bn_str_is(type, "Split") && s->escapes) {
        result = bn_json_object(s->json, step, "pattern", true, &pattern);
        if (result == BN_OK)
            result = bn_json_str(s->json, pattern, "String", false, &string);
        if (result == BN_OK && bn_str_is(string, " "))
            return BN_OK;
    }
    return result == BN_OK ? refuse(s, "pre_tokenizer", "is of a type that is not supported for SentencePiece:", type)
                           : result;
}

// The step, or each one of a Sequence.
static enum bn_result each(struct steps *s, const char *name, const char *list_name,
                           enum bn_result (*read)(struct steps *s, const json_t *step))
{
    json_t *step, *list;
    struct bn_str type = {0};
    enum bn_result result = bn_json_object(s->json, s->json->root, name, false, &step);
    if (result != BN_OK || !step)
        return result;
    result = bn_json_str(s->json, step, "type", true, &type);
    if (result != BN_OK || !bn_str_is(type, "Sequence"))
        return result == BN_OK ? read(s, step) : result;
    result = bn_json_array(s->json, step, list_name, true, &list);
    for (size_t i = 0; result == BN_OK && i < json_array_size(list); i++)
        result = read(s, json_array_get(list, i));
    return result;
}

enum bn_result bn_hf_read_pieces(const struct bn_json *json, struct bn_hf_pieces *pieces)
{
    struct steps s = {.json = json, .pieces = pieces};
    enum bn_result result = each(&s, "normalizer", "normalizers", read_normaliser);
    if (result == BN_OK)
        result = each(&s, "pre_tokenizer", "pretokenizers", read_pre);
    if (result != BN_OK)
        return result;
    if (!s.escapes)
        return bn_json_fail(json, BN_ERR_UNSUPPORTED, "normalizer", "spaces do not become U+2581");
    if (s.prepends && pieces->prefix != BN_HF_PREFIX_NONE)
        return bn_json_fail(json, BN_ERR_UNSUPPORTED, "pre_tokenizer", "a second mark in front of the text");
    if (s.prepends)
        pieces->prefix = BN_HF_PREFIX_PREPEND;
    if (s.collapses != s.strips)
        return bn_json_fail(json, BN_ERR_UNSUPPORTED, "normalizer",
                            "runs of spaces become one, or spaces at the ends are left out, but not both");
    pieces->collapses = s.collapses;
    return BN_OK;
}
