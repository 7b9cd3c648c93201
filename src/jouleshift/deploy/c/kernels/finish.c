/* needs: factor */
/* Sums of `width` pixels of a channel to its outputs. */
static void finish_ACC_OUT(const ACC_t *sums, uint32_t width, const struct factor_ACC_WIDE *factor, WIDE_t lowest,
                           WIDE_t highest, OUT_t *out)
{
    for (; width != 0; width--) {
        ACC_t sum = *sums++;
        int negative = (sum >> (sizeof sum == 4 ? 31 : 63)) != 0;

        if (negative && lowest >= 0) { /* a ReLU */
            *out++ = (OUT_t)lowest;
        } else {
            *out++ = (OUT_t)rescaled_ACC_WIDE(negative ? 0 - sum : sum, negative, factor, lowest, highest);
        }
    }
}
