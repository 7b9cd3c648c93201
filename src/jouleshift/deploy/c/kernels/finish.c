/* needs: scaled clamped */
/* Sums of `width` pixels of a channel to its outputs: float32(float32(sum) * multiplier), rounded where the
   output is an integer, and clamped. */
static void finish_ACC_OUT(const ACC_t *sums, uint32_t width, uint32_t multiplier, WIDE_t lowest, WIDE_t highest,
                           OUT_t *out)
{
    for (; width != 0; width--) {
        ACC_t sum = *sums++;
        int negative = (sum >> (sizeof sum == 4 ? 31 : 63)) != 0;

        if (negative && lowest >= 0) { /* a ReLU */
            *out++ = (OUT_t)lowest;
        } else {
            *out++ = (OUT_t)clamped_WIDE(scaled(negative ? 0 - sum : sum, multiplier), negative, lowest, highest);
        }
    }
}
