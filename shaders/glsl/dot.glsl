// Sum of four products of int8 activations with ternary codes (0, 1, 2; 3 in damaged files), packed in bytes.
#ifdef INT_DOT
#extension GL_EXT_spirv_intrinsics : require
// OpSDot of SPV_KHR_integer_dot_product; glslang has no GLSL for it before 2025. Codes are positive, so signed is right.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int packed_dot(uint a, uint b, spirv_literal int format);
#define DOT4(x, code) packed_dot(x, code, 0)
#define DOT8(x, w) packed_dot(x, w, 0)
#else
int dot4(uint x, uint code)
{
    int a = int(x);
    return (bitfieldExtract(a, 0, 8) * int(code & 3u) + bitfieldExtract(a, 8, 8) * int(code >> 8 & 3u)) +
           (bitfieldExtract(a, 16, 8) * int(code >> 16 & 3u) + (a >> 24) * int(code >> 24));
}
#define DOT4(x, code) dot4(x, code)

// The same of two vectors of int8.
int dot8(uint x, uint w)
{
    int a = int(x), b = int(w);
    return (bitfieldExtract(a, 0, 8) * bitfieldExtract(b, 0, 8) + bitfieldExtract(a, 8, 8) * bitfieldExtract(b, 8, 8)) +
           (bitfieldExtract(a, 16, 8) * bitfieldExtract(b, 16, 8) + (a >> 24) * (b >> 24));
}
#define DOT8(x, w) dot8(x, w)
#endif
