// Activations of the gate, by the flags of the kernel; without one relu^2.
const uint SILU = 2, GELU = 8;

float activated(uint flags, float g)
{
    float r = max(g, 0.0);
    precise float square = r * r;
    precise float tanh_of = g * fma(0.0713548163, g * g, 1.5957691216);
    precise float rest = g / (1.0 + exp_own((flags & GELU) != 0 ? -tanh_of : -g));
    return (flags & (SILU | GELU)) == 0 ? square : rest;
}
