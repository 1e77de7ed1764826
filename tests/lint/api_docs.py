"""The comments of the public headers say what the house rules demand.

usage: api_docs.py [--self-test] HEADER...

A function has the comment above it, or that of the function directly above (no empty line between); what stands on its
own lines counts too. The comment says
  Threads:    always, and it starts with "any" or "one at a time", the words of base.h;
  Errors:     if and only if the function returns enum bn_result: its codes, or whose they are;
  Ownership:  if it returns a pointer or hands one out through a parameter (struct x **).
The rule of base.h covers what _destroy and _close take back.

Every struct and enum has a comment above it, in one of the headers if it is opaque. A value of an enum is explained by
that. A field has a comment on its lines or directly above, or is named in another comment of its struct, or explains
itself: `size` (base.h), `user` (goes back to the callbacks beside it), the count `n_things` of an array `things`, and a
field named as its type, which has a comment (enum bn_stop stop).
"""
import re
import sys

DIRECTIVE = re.compile(r"^[ \t]*#")
CODES = re.compile(r"BN_ERR_[A-Z_]+")
LABELS = ("Ownership:", "Threads:", "Errors:")
POINTER_OUT = re.compile(r"\*\s*\*\s*\w+\s*(?:,|$)")


class Declaration:
    """Something that ends with ; or } outside of braces: its code, its first and last line, its comment."""

    def __init__(self, code, first, last):
        self.code, self.first, self.last = code, first, last
        self.above = ""


def split_lines(text):
    """The code and the comment of each line; directives and what is for C++ only count as empty lines."""
    code, comments = [], []
    depth = 0  # inside #ifdef __cplusplus
    continued = False
    for line in text.split("\n"):
        directive = DIRECTIVE.match(line) or continued
        continued = bool(directive) and line.endswith("\\")
        if re.match(r"#ifdef __cplusplus", line) or (depth and re.match(r"#if", line)):
            depth += 1
        if directive or depth:
            if depth and re.match(r"#endif", line):
                depth -= 1
            code.append("")
            comments.append("")
            continue
        before, slashes, after = line.partition("//")
        code.append(before.rstrip())
        comments.append(after.strip() if slashes else "")
    return code, comments


def pieces(code, start, ends, opening="", closing=""):
    """Cuts lines of code at the characters of `ends` outside of brackets: yields (text, first line, last line)."""
    text, first, depth = "", None, 0
    for number, line in enumerate(code, start):
        for c in line:
            if first is None and not c.isspace():
                first = number
            text += c
            depth += (c in opening) - (c in closing)
            if depth == 0 and c in ends:
                if text.strip(" ;,\n"):
                    yield text.strip(), first, number
                text, first = "", None
        text += "\n"
    if text.strip():
        yield text.strip(), first, start + len(code) - 1


def declarations(code, comments):
    found = []
    for text, first, last in pieces(code, 0, ";}", "{(", "})"):
        if text in (";", "}"):
            continue
        if text.endswith("}") and not re.match(r"static inline", text):
            text, last = text + ";", last
        found.append(Declaration(text, first, last))
    previous = None
    for d in found:
        line = d.first - 1
        block = []
        while line >= 0 and comments[line] and not code[line]:
            block.insert(0, comments[line])
            line -= 1
        d.above = " ".join(block)
        if not block and previous and previous.last == d.first - 1:
            d.above = previous.above
        d.comment = " ".join([d.above] + [c for c in comments[d.first:d.last + 1] if c])
        previous = d
    return found


def section(comment, label):
    """What follows a label, up to the next one; None if it is missing."""
    if label not in comment:
        return None
    rest = comment.split(label, 1)[1]
    return re.split("|".join(LABELS), rest)[0].strip()


def judge_function(d, codes):
    match = re.match(r"BN_API\s+(?:BN_MUST_CHECK\s+)?(.*?)\b(\w+)\s*\((.*)\)\s*;$", d.code, re.S)
    if not match:
        yield "?", "cannot be read"
        return
    result, name, parameters = match.groups()
    if not d.above:
        yield name, "no comment"
        return
    threads, errors, ownership = (section(d.comment, label) for label in ("Threads:", "Errors:", "Ownership:"))
    if threads is None:
        yield name, "no Threads:"
    elif not re.match(r"any\b|one at a time\b", threads):
        yield name, 'Threads: starts with "any" or "one at a time"'
    if "enum bn_result" in result:
        if "BN_MUST_CHECK" not in d.code:
            yield name, "returns enum bn_result without BN_MUST_CHECK"
        if errors is None:
            yield name, "no Errors:"
        elif not CODES.search(errors) and not re.search(r"\bthose of bn_\w+", errors):
            yield name, "Errors: names no code"
    elif errors is not None:
        yield name, "Errors: of a function that does not return enum bn_result"
    for code in CODES.findall(d.comment):
        if code not in codes:
            yield name, f"{code} is not in error.h"
    if ("*" in result or POINTER_OUT.search(parameters)) and not ownership:
        yield name, "no Ownership:"


def names_of(member):
    """The names that a field's declaration introduces."""
    pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", member)
    if pointer:
        return [pointer.group(1)]
    return [re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", part).group(1) for part in member.rstrip("; ").split(",")]


def judge_struct(d, code, comments):
    kind, name = re.match(r"(struct|enum) (\w+)", d.code).groups()
    if not d.above:
        yield name, "no comment"
    if kind == "enum":
        return
    inside = [c for c in comments[d.first:d.last + 1] if c]
    said = " ".join([d.above] + inside)
    body = [line for line in code[d.first:d.last + 1]]
    body[0] = re.sub(r"^.*?\{", "", body[0])
    body[-1] = re.sub(r"\}.*$", "", body[-1])
    members = list(pieces(body, d.first, ";", "(", ")"))
    fields = [field for member, _, _ in members for field in names_of(member)]
    for member, first, last in members:
        if any(comments[first:last + 1]) or (comments[first - 1] and not code[first - 1]):
            continue
        for field in names_of(member):
            counted = field[2:] if field.startswith("n_") else None
            named = re.match(rf"(const )?(enum|struct) bn_(\w+_)?{field}(_\w+)? ", member)
            if field in ("size", "user") or counted in fields or named or re.search(rf"\b{field}\b", said):
                continue
            yield f"{name}.{field}", "no comment"


def check(headers):
    """All findings of {path: text}, as "path:line: name: what", and the number of things looked at."""
    found, count = [], 0
    codes = {code for text in headers.values() for code in re.findall(r"^\s+(BN_ERR_[A-Z_]+),", text, re.M)}
    opaque, explained = {}, set()
    for path, text in headers.items():
        code, comments = split_lines(text)
        for d in declarations(code, comments):
            judged = []
            forward = re.match(r"struct (\w+)\s*;$", d.code)
            if re.match(r"(struct|enum) \w+\s*\{", d.code):
                explained.add(d.code.split()[1])
                judged = judge_struct(d, code, comments)
            elif forward:
                opaque.setdefault(forward.group(1), f"{path}:{d.first + 1}")
                if d.comment:
                    explained.add(forward.group(1))
            elif d.code.startswith("BN_API"):
                judged = judge_function(d, codes)
            elif not d.above:
                judged = [(d.code.split("(")[0].split()[-1], "no comment")]
            count += 1
            found += [f"{path}:{d.first + 1}: {name}: {what}" for name, what in judged]
    found += [f"{place}: {name}: no comment" for name, place in opaque.items() if name not in explained]
    return found, count


# Each line marked "bad" must be found, and nothing else.
SELF_TEST = """\
// The codes.
enum bn_result {
    BN_OK,
    BN_ERR_IO,
};

#ifdef __cplusplus
extern "C" {
#endif
#define MACRO(x) \\
    do {         \\
    } while (0)

enum bn_naked { A, B }; // bad

// An opaque one.
struct bn_known;
struct bn_known;

struct bn_unknown; /* bad */

// Right; `named` is named here.
struct bn_right {
    size_t size;
    int named;
    int own; // has a comment
    // Above it.
    int (*call)(void *user, int x);
    void *user;
    const int *things; // some
    size_t n_things;
    enum bn_result result;
    unsigned char many[4], others[2]; // together
};

struct bn_wrong { // bad
    int x; /* bad */
    // Only about y.
    int y;
    int z[3], w; /* bad */
};

// Right. Threads: any.
BN_API int bn_f(void);

// Right: two with one comment. Ownership: static. Threads: any.
BN_API const char *bn_g(int a);
BN_API const char *bn_h(int a);

// Right. Ownership: the caller destroys *out. Threads: one at a time; in words. Errors: BN_ERR_IO.
BN_API BN_MUST_CHECK enum bn_result bn_i(const int *config, // NULL: defaults
                                         struct bn_right **out);

// Right. Threads: one at a time.
// Errors: those of bn_i.
BN_API BN_MUST_CHECK enum bn_result bn_j(void);
BN_API int bn_k(void); // bad

BN_API int bn_l(void); // bad

// No threads. Errors: BN_ERR_IO.
BN_API BN_MUST_CHECK enum bn_result bn_m(void); /* bad */

// Threads: some. Errors: BN_ERR_IO.
BN_API BN_MUST_CHECK enum bn_result bn_n(void); /* bad */

// Threads: any.
BN_API BN_MUST_CHECK enum bn_result bn_o(void); /* bad */

// Threads: any. Errors: BN_ERR_NONE.
BN_API BN_MUST_CHECK enum bn_result bn_p(void); /* bad */

// Threads: any. Errors: whatever.
BN_API BN_MUST_CHECK enum bn_result bn_q(void); /* bad */

// Threads: any. Errors: BN_ERR_IO.
BN_API enum bn_result bn_r(void); /* bad */

// Threads: any.
BN_API struct bn_right *bn_s(void); /* bad */

// Threads: any.
BN_API void bn_t(struct bn_right **out); /* bad */

// Right.
static inline int bn_u(int x)
{
    return x;
}

static inline int bn_v(int x) /* bad */
{
    return x;
}
"""


def self_test():
    # A mark in /* */ is for lines where // would be the comment asked for.
    lines = SELF_TEST.split("\n")
    expected = {number for number, line in enumerate(lines, 1) if re.search(r"\bbad\b", line)}
    text = re.sub(r"[ ]*(?:/\* bad \*/|// bad)", "", SELF_TEST)
    fields = {}
    for finding in check({"self-test": text})[0]:
        _, number, name, what = finding.split(":", 3)
        line = int(number)
        if "." in name:  # a field is reported at its struct
            field = name.strip().split(".")[1]
            line = next(n for n in range(line, len(lines)) if re.search(rf"\b{field}\b", lines[n - 1]))
        fields.setdefault(line, []).append(finding)
    for line in sorted(expected - set(fields)):
        print(f"not found: {line}: {lines[line - 1]}")
    for line in sorted(set(fields) - expected):
        print(f"found, but right: {fields[line]}")
    return set(fields) != expected or not expected


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    headers = {}
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            headers[path] = f.read()
    found, count = check(headers)
    print("\n".join(found + [f"{count} declarations, {len(found)} findings"]))
    return 1 if found or not count else 0


sys.exit(main())
