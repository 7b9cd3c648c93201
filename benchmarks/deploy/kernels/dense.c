/* needs: layer finish denserow */
/* The same layer with weights of int8 that are multiplied. */
static void dense_IN_ACC_TAP_STEP_OUT(const struct layer_ACC_TAP_WIDE *layer, const IN_t *in, OUT_t *out, IN_t *room,
                                      ACC_t *sums, TAP_t *taps)
{
    const struct reach_TAP *reach = &layer->reach;
    const int8_t *weights = (const int8_t *)layer->weights;
    const BIAS_t *bias = layer->bias;
    const uint32_t *multiplier = layer->multipliers;
    struct factor_ACC_WIDE factor;
    uint32_t group, channel, row, plane, column;
    TAP_t offset, *tap;

    for (group = layer->groups; group != 0; group--, in += layer->group_inputs) {
        const IN_t *image = in;

        if (room != NULL) {
            framed(&layer->frame, in, room);
            image = room;
        }
        tap = taps; /* only now: they may lie where the input lay */
        offset = 0;
        for (plane = reach->planes; plane != 0; plane--) {
            for (row = reach->rows; row != 0; row--) {
                for (column = reach->columns; column != 0; column--) {
                    *tap++ = offset;
                    offset = (TAP_t)(offset + reach->column_step);
                }
                offset = (TAP_t)(offset + reach->row_step);
            }
            offset = (TAP_t)(offset + reach->plane_step);
        }
        for (channel = layer->group_channels; channel != 0; channel--, weights += reach->taps) {
            const IN_t *start = image;

            prepare_ACC_WIDE(&factor, *multiplier++);
            for (row = layer->rows; row != 0; row--, start += layer->down) {
                denserow_IN_ACC_TAP_STEP(start, layer->columns, taps, weights, reach->taps, (ACC_t)*bias, sums);
                finish_ACC_OUT(sums, layer->columns, &factor, layer->lowest, layer->highest, out);
                out += layer->columns;
            }
            bias++;
        }
    }
}
