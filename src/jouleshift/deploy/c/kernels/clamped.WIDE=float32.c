/* needs: real packed */
/* A real and its sign as a float, clamped. */
static float clamped_float32(struct real real, int negative, float lowest, float highest)
{
    float value = packed(real, negative);

    if (value < lowest) {
        return lowest;
    }
    return value > highest ? highest : value;
}
