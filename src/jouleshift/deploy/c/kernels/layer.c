/* needs: framed taps */
/* The numbers of a layer of shifts and additions. */
struct layer_ACC_TAP_WIDE {
    const uint8_t *weights;
    const BIAS_t *bias;
    const uint32_t *multipliers;
    uint32_t groups, group_inputs, group_channels; /* inputs: elements; channels: of the output */
    uint32_t rows, columns, down;                  /* of the output; elements from one row of it to the next */
    uint16_t zero;
    uint8_t width;
    WIDE_t lowest, highest;
    struct frame frame; /* of the inputs of one group, where the kernel reaches beyond the image */
    struct reach_TAP reach;
};
