/* needs: window */
/* The sum of what a window sees, what lies outside the image counted as zeros. */
static int64_t total_IN(const struct window *window, const IN_t *in, int32_t y, int32_t x, int32_t at)
{
    int64_t total = 0;
    int32_t row, column;

    for (row = window->kernel_rows; row != 0; row--, y += window->dilation_rows, at += window->kernel_row) {
        int32_t along = x, here = at;

        if (y < 0 || y >= window->rows) {
            continue;
        }
        for (column = window->kernel_columns; column != 0; column--) {
            if (along >= 0 && along < window->columns) {
                total += in[here];
            }
            along += window->dilation_columns;
            here += window->dilation_columns;
        }
    }
    return total;
}
