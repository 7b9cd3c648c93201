/* mantissa * byte, for a mantissa below 2^24. By shifts and additions, unless JS_HAVE_MULTIPLIER is defined. */
static uint32_t times_byte(uint32_t mantissa, uint32_t byte)
{
#ifdef JS_HAVE_MULTIPLIER
    return mantissa * byte;
#else
    uint32_t sum = 0;

    while (byte != 0) {
        if (byte & 1) {
            sum += mantissa;
        }
        mantissa += mantissa;
        byte >>= 1;
    }
    return sum;
#endif
}

/* a * b of two mantissas below 2^24, in three pieces that fit 32 bits. */
static uint64_t product(uint32_t a, uint32_t b)
{
    uint64_t sum = times_byte(b, a & 255);

    a >>= 8;
    if (a != 0) {
        sum += (uint64_t)times_byte(b, a & 255) << 8;
        a >>= 8;
        if (a != 0) {
            sum += (uint64_t)times_byte(b, a) << 16;
        }
    }
    return sum;
}
