/* Weights as a stream of codes of `width` bits, the lowest bit of each byte first. A code is
   negative + 2 * distance from the channel's largest weight; from `zero` on it means no weight. */
struct codes {
    const uint8_t *next;
    uint32_t held;
    uint32_t n_held, width, zero;
};

static uint32_t next_code(struct codes *codes)
{
    uint32_t code;

    if (codes->n_held < codes->width) {
        codes->held |= (uint32_t)*codes->next++ << codes->n_held;
        codes->n_held += 8;
    }
    code = codes->held & (((uint32_t)1 << codes->width) - 1);
    codes->held >>= codes->width;
    codes->n_held -= codes->width;
    return code;
}
