/* a + b, clamped. */
static void addfloats(const float *a, const float *b, float *out, uint32_t count, float lowest, float highest)
{
    for (; count != 0; count--) {
        float value = *a++ + *b++;

        value = value < lowest ? lowest : value;
        *out++ = value > highest ? highest : value;
    }
}
