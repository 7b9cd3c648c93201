/* needs: taps */
/* Sums of one row of `width` pixels, STEP inputs apart, each from `start`: level by level, the largest weights
   first, so that doubling the sum between levels shifts every input as far as its weight says. */
static void sums_IN_ACC_TAP_STEP(const IN_t *in, uint32_t width, const TAP_t *taps, const struct run_TAP *runs,
                                 uint32_t n_runs, ACC_t start, ACC_t *sums)
{
    while (width >= JS_PIXELS) {
        ACC_t sum[JS_PIXELS] = {0};
        const struct run_TAP *run = runs;
        const TAP_t *tap = taps;
        uint32_t n, k;

        for (n = n_runs; n != 0; n--, run++) {
            const TAP_t *end = tap + run->count;

            for (k = 0; k < JS_PIXELS; k++) {
                sum[k] <<= run->doublings;
            }
            if (run->negative) {
                while (tap != end) {
                    const IN_t *pixel = in + *tap++;

                    for (k = 0; k < JS_PIXELS; k++, pixel += STEP) {
                        sum[k] -= (ACC_t)*pixel;
                    }
                }
            } else {
                while (tap != end) {
                    const IN_t *pixel = in + *tap++;

                    for (k = 0; k < JS_PIXELS; k++, pixel += STEP) {
                        sum[k] += (ACC_t)*pixel;
                    }
                }
            }
        }
        for (k = 0; k < JS_PIXELS; k++, in += STEP) {
            *sums++ = sum[k] + start;
        }
        width -= JS_PIXELS;
    }
    for (; width != 0; width--, in += STEP) {
        ACC_t sum = 0;
        const struct run_TAP *run = runs;
        const TAP_t *tap = taps;
        uint32_t n;

        for (n = n_runs; n != 0; n--, run++) {
            const TAP_t *end = tap + run->count;

            sum <<= run->doublings;
            if (run->negative) {
                while (tap != end) {
                    sum -= (ACC_t)in[*tap++];
                }
            } else {
                while (tap != end) {
                    sum += (ACC_t)in[*tap++];
                }
            }
        }
        *sums++ = sum + start;
    }
}
