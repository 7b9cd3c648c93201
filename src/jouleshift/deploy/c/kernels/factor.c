/* needs: scaled clamped */
/* A channel's multiplier, and float32(float32(magnitude) * multiplier), rounded where the result is an integer, with
   its sign, clamped. */
struct factor_ACC_WIDE {
    uint32_t pattern;
};

static void prepare_ACC_WIDE(struct factor_ACC_WIDE *factor, uint32_t pattern)
{
    factor->pattern = pattern;
}

static WIDE_t rescaled_ACC_WIDE(ACC_t magnitude, int negative, const struct factor_ACC_WIDE *factor, WIDE_t lowest,
                                WIDE_t highest)
{
    return clamped_WIDE(scaled(magnitude, factor->pattern), negative, lowest, highest);
}
