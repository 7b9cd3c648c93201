/* weight * pixel: by the processor's multiplier, or, with JS_NO_MULTIPLIER, as a compiler's library would do it. */
#ifdef JS_NO_MULTIPLIER
static uint32_t times(int32_t weight, uint32_t pixel)
{
    uint32_t magnitude = weight < 0 ? 0 - (uint32_t)weight : (uint32_t)weight, sum = 0;

    while (magnitude != 0) {
        if (magnitude & 1) {
            sum += pixel;
        }
        pixel += pixel;
        magnitude >>= 1;
    }
    return weight < 0 ? 0 - sum : sum;
}
#else
#define times(weight, pixel) ((uint32_t)(weight) * (pixel))
#endif
