/* needs: layer sums finish */
/* A layer of shifts and additions. A weight is unpacked once an image; then the channel's taps sweep the image. */
static void shift_IN_ACC_TAP_STEP_OUT(const struct layer_ACC_TAP_WIDE *layer, const IN_t *in, OUT_t *out,
                                      IN_t *room, ACC_t *sums, TAP_t *taps, struct run_TAP *runs, TAP_t *ends,
                                      uint8_t *unpacked)
{
    const struct unpacked_TAP to = {taps, runs, ends, unpacked};
    const BIAS_t *bias = layer->bias;
    const uint32_t *multiplier = layer->multipliers;
    struct codes codes = {layer->weights, 0, 0, layer->width, layer->zero};
    struct factor_ACC_WIDE factor;
    uint32_t group, channel, row;

    for (group = layer->groups; group != 0; group--, in += layer->group_inputs) {
        const IN_t *image = in;

        if (room != NULL) {
            framed(&layer->frame, in, room);
            image = room;
        }
        for (channel = layer->group_channels; channel != 0; channel--) {
            uint32_t n_runs = unpack_TAP(&codes, &layer->reach, &to);
            const IN_t *start = image;

            prepare_ACC_WIDE(&factor, *multiplier++);
            for (row = layer->rows; row != 0; row--, start += layer->down) {
                sums_IN_ACC_TAP_STEP(start, layer->columns, taps, runs, n_runs, (ACC_t)*bias, sums);
                finish_ACC_OUT(sums, layer->columns, &factor, layer->lowest, layer->highest, out);
                out += layer->columns;
            }
            bias++;
        }
    }
}
