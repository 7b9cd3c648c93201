/* needs: window */
/* The largest value of each window; what lies outside the image never wins. */
static IN_t largest_IN(const struct window *window, const IN_t *in, int32_t y, int32_t x, int32_t at, IN_t least)
{
    int32_t row, column;

    for (row = window->kernel_rows; row != 0; row--, y += window->dilation_rows, at += window->kernel_row) {
        int32_t along = x, here = at;

        if (y < 0 || y >= window->rows) {
            continue;
        }
        for (column = window->kernel_columns; column != 0; column--) {
            if (along >= 0 && along < window->columns && in[here] > least) {
                least = in[here];
            }
            along += window->dilation_columns;
            here += window->dilation_columns;
        }
    }
    return least;
}

static void maxpool_IN(const struct window *window, const IN_t *in, IN_t *out, IN_t least)
{
    int32_t plane, row, column;

    for (plane = window->planes; plane != 0; plane--, in += window->plane) {
        int32_t y = -window->top, line = window->first;

        for (row = window->out_rows; row != 0; row--, y += window->stride_rows, line += window->down) {
            int32_t x = -window->left, at = line;

            for (column = window->out_columns; column != 0; column--) {
                *out++ = largest_IN(window, in, y, x, at, least);
                x += window->stride_columns;
                at += window->stride_columns;
            }
        }
    }
}
