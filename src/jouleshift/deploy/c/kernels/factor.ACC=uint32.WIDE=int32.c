/* needs: scaled clamped */
/* A channel's multiplier, and round(float32(float32(magnitude) * multiplier)) with its sign, clamped.

   The product's leading bits decide the result unless it lies next to the middle between two integers; only then
   are both roundings of float32 worked out. `leading` is magnitude * mantissa without
   its last bits, too small by less than 2; rounding to float32 moves it by at most margin - 2. */
struct factor_ACC_WIDE {
    uint32_t pattern, mantissa;
    int32_t down;
#ifndef JS_HAVE_MULTIPLIER
    uint32_t multiples[16];
#endif
};

static void prepare_ACC_WIDE(struct factor_ACC_WIDE *factor, uint32_t pattern)
{
#ifndef JS_HAVE_MULTIPLIER
    uint32_t i, sum = 0;
#endif
    factor->pattern = pattern;
    factor->mantissa = (pattern & 0x7FFFFFUL) | 0x800000UL;
    factor->down = 150 - (int32_t)(pattern >> 23);
    if (factor->down == 150) { /* below the normal numbers, or zero */
        factor->mantissa = 0;
    }
#ifndef JS_HAVE_MULTIPLIER
    for (i = 0; i < 16; i++, sum += factor->mantissa) {
        factor->multiples[i] = sum;
    }
#endif
}

static int32_t rescaled_ACC_WIDE(uint32_t magnitude, int negative, const struct factor_ACC_WIDE *factor,
                                 int32_t lowest, int32_t highest)
{
#ifdef JS_HAVE_MULTIPLIER
    const uint32_t margin = 130;
    uint32_t leading = (uint32_t)(((uint64_t)magnitude * factor->mantissa) >> 16);
    int32_t down = factor->down - 16;
#else
    const uint32_t margin = 18;
    uint32_t leading = 0, rest = magnitude;
    int32_t down = factor->down + 4;

    do {
        leading = (leading >> 4) + factor->multiples[rest & 15];
        down -= 4;
        rest >>= 4;
    } while (rest != 0);
#endif
    if (down > 0 && down < 32 && magnitude >> 24 == 0) {
        uint32_t half = (uint32_t)1 << (down - 1);
        uint32_t fraction = leading & (half + half - 1);

        if (fraction + margin < half || fraction > half + margin) {
            int32_t value = (int32_t)(leading >> down) + (fraction > half);

            value = negative ? -value : value;
            if (value < lowest) {
                return lowest;
            }
            return value > highest ? highest : value;
        }
    }
    return clamped_WIDE(scaled(magnitude, factor->pattern), negative, lowest, highest);
}
