// Activations of the gate, by the flags of the kernel; without one relu^2.
FUNCTION float activated(uint flags, float g)
{
    float r = g > 0.0f ? g : 0.0f;
    if ((flags & (FLAG_SILU | FLAG_GELU)) == 0)
        return r * r;
    float t = (flags & FLAG_GELU) != 0 ? g * fma1(0.0713548163f, g * g, 1.5957691216f) : g;
    return g / (1.0f + exp_own(-t));
}
