/* needs: real clamped */
/* Floats to integers: round(x * 2^fraction_bits), clamped. */
static void quantise_OUT(const float *in, OUT_t *out, uint32_t count, int32_t fraction_bits, WIDE_t lowest,
                         WIDE_t highest)
{
    for (; count != 0; count--) {
        uint32_t pattern;
        struct real real;

        memcpy(&pattern, in++, sizeof pattern);
        real.mantissa = pattern & 0x7FFFFFUL;
        real.exponent = (int32_t)((pattern >> 23) & 255);
        if (real.exponent != 0) {
            real.mantissa |= 0x800000UL;
        } else {
            real.exponent = 1;
        }
        real.exponent += fraction_bits - 150;
        *out++ = (OUT_t)clamped_WIDE(real, (pattern >> 31) != 0, lowest, highest);
    }
}
