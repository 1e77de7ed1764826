#version 460
// Not a kernel: the build compiles it to find out whether the compiler and the validator know cooperative matrices.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require

layout(local_size_x = 32) in;
shared uint words[64];

void main()
{
    coopmat<int8_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA> a;
    coopMatLoad(a, words, 0, 4, gl_CooperativeMatrixLayoutRowMajor);
    coopMatStore(a, words, 0, 4, gl_CooperativeMatrixLayoutRowMajor);
}
