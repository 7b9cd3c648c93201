/* needs: window */
/* The mean of each window, what lies outside the image counted as zeros. */
static void averagefloats(const struct window *window, const float *in, float *out, float multiplier)
{
    int32_t plane, row, column, i, j;

    for (plane = window->planes; plane != 0; plane--, in += window->plane) {
        for (row = 0; row < window->out_rows; row++) {
            for (column = 0; column < window->out_columns; column++) {
                float total = 0;

                for (i = 0; i < window->kernel_rows; i++) {
                    int32_t y = row * window->stride_rows - window->top + i * window->dilation_rows;

                    for (j = 0; j < window->kernel_columns; j++) {
                        int32_t x = column * window->stride_columns - window->left + j * window->dilation_columns;

                        if (y >= 0 && y < window->rows && x >= 0 && x < window->columns) {
                            total += in[y * window->columns + x];
                        }
                    }
                }
                *out++ = total * multiplier;
            }
        }
    }
}
