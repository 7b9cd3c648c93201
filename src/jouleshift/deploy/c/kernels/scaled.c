/* needs: real nearest product */
/* float32(float32(magnitude) * multiplier): the multiplier as the bits of a positive float32. */
static struct real scaled(uint64_t magnitude, uint32_t multiplier)
{
    struct real sum = nearest(magnitude, 0);
    uint32_t mantissa = multiplier & 0x7FFFFFUL;
    int32_t exponent = (int32_t)(multiplier >> 23);

    if (exponent != 0) {
        mantissa |= 0x800000UL;
    } else {
        exponent = 1;
    }
    return nearest(product(sum.mantissa, mantissa), sum.exponent + exponent - 150);
}
