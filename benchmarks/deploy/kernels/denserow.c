/* needs: times */
/* Sums of one row of `width` pixels, STEP inputs apart, each from `start`. */
static void denserow_IN_ACC_TAP_STEP(const IN_t *in, uint32_t width, const TAP_t *taps, const int8_t *weights,
                                     uint32_t count, ACC_t start, ACC_t *sums)
{
    uint32_t n, k;

    while (width >= JS_PIXELS) {
        ACC_t sum[JS_PIXELS] = {0};

        for (n = 0; n != count; n++) {
            const IN_t *pixel = in + taps[n];
            int32_t weight = weights[n];

            for (k = 0; k < JS_PIXELS; k++, pixel += STEP) {
                sum[k] += times(weight, (ACC_t)*pixel);
            }
        }
        for (k = 0; k < JS_PIXELS; k++, in += STEP) {
            *sums++ = sum[k] + start;
        }
        width -= JS_PIXELS;
    }
    for (; width != 0; width--, in += STEP) {
        ACC_t sum = 0;

        for (n = 0; n != count; n++) {
            sum += times(weights[n], (ACC_t)in[taps[n]]);
        }
        *sums++ = sum + start;
    }
}
