/* needs: real halved bits */
/* value * 2^exponent rounded to the nearest float32, half to even; value below 2^63. */
static struct real nearest(uint64_t value, int32_t exponent)
{
    struct real result;
    int32_t drop = 0;
    uint32_t above = (uint32_t)(value >> 32);

    if (above != 0) {
        drop = bits(above) + 8;
    } else if (value >> 24) {
        drop = bits((uint32_t)(value >> 24));
    }
    if (drop < -149 - exponent) { /* below the normal numbers */
        drop = -149 - exponent;
    }
    if (drop > 62) {
        value = 0;
        drop = 0;
        exponent = 0;
    }
    value = halved(value, (uint32_t)drop);
    exponent += drop;
    if (value >> 24) { /* rounded up to 2^24 */
        value >>= 1;
        exponent++;
    }
    result.mantissa = (uint32_t)value;
    result.exponent = exponent;
    return result;
}
