/* needs: real */
/* A real and its sign as a float; infinite where it is too large. */
static float packed(struct real real, int negative)
{
    uint32_t mantissa = real.mantissa;
    int32_t exponent = real.exponent;
    uint32_t pattern;
    float result;

    if (mantissa == 0) {
        exponent = -149;
    }
    while (mantissa < 0x800000UL && exponent > -149) {
        mantissa += mantissa;
        exponent--;
    }
    if (exponent > 104) {
        pattern = 0x7F800000UL;
    } else if (mantissa < 0x800000UL) {
        pattern = mantissa;
    } else {
        pattern = ((uint32_t)(exponent + 150) << 23) | (mantissa & 0x7FFFFFUL);
    }
    if (negative) {
        pattern |= 0x80000000UL;
    }
    memcpy(&result, &pattern, sizeof result);
    return result;
}
