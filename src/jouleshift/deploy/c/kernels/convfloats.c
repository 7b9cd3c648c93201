/* needs: framed */
/* A convolution (or, of 1 x 1 pixels, a linear layer) in floating point. */
struct convfloats {
    const float *weights, *bias;
    uint32_t groups, group_inputs, group_channels;
    uint32_t rows, columns, right, down, plane;
    uint32_t kernel_planes, kernel_rows, kernel_columns, kernel_right, kernel_down;
    float lowest, highest;
    struct frame frame;
};

#ifndef JS_FLOAT_SUM
#define JS_FLOAT_SUM double /* what products are summed in; float on processors without doubles */
#endif

static float dotfloats(const struct convfloats *layer, const float *image, const float *weight, float bias)
{
    JS_FLOAT_SUM sum = 0;
    uint32_t plane, row, column;

    for (plane = 0; plane < layer->kernel_planes; plane++) {
        for (row = 0; row < layer->kernel_rows; row++) {
            const float *pixel = image + plane * layer->plane + row * layer->kernel_down;

            for (column = 0; column < layer->kernel_columns; column++) {
                sum += (JS_FLOAT_SUM)*weight++ * *pixel;
                pixel += layer->kernel_right;
            }
        }
    }
    sum += bias;
    if (sum < layer->lowest) {
        return layer->lowest;
    }
    return sum > layer->highest ? layer->highest : (float)sum;
}

static void convfloats(const struct convfloats *layer, const float *in, float *out, float *room)
{
    const float *weights = layer->weights, *bias = layer->bias;
    uint32_t fan_in = layer->kernel_planes * layer->kernel_rows * layer->kernel_columns;
    uint32_t group, channel, row, column;

    for (group = 0; group < layer->groups; group++, in += layer->group_inputs) {
        const float *image = in;

        if (room != NULL) {
            framed(&layer->frame, in, room);
            image = room;
        }
        for (channel = 0; channel < layer->group_channels; channel++, weights += fan_in, bias++) {
            for (row = 0; row < layer->rows; row++) {
                for (column = 0; column < layer->columns; column++) {
                    *out++ = dotfloats(layer, image + row * layer->down + column * layer->right, weights, *bias);
                }
            }
        }
    }
}
