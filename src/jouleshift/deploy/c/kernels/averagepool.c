/* needs: window total scaled clamped */
/* The mean of each window, what lies outside the image counted as zeros. */
static void averagepool_IN_OUT_WIDE(const struct window *window, const IN_t *in, OUT_t *out, uint32_t multiplier,
                                    WIDE_t lowest, WIDE_t highest)
{
    int32_t plane, row, column;

    for (plane = window->planes; plane != 0; plane--, in += window->plane) {
        int32_t y = -window->top, line = window->first;

        for (row = window->out_rows; row != 0; row--, y += window->stride_rows, line += window->down) {
            int32_t x = -window->left, at = line;

            for (column = window->out_columns; column != 0; column--) {
                int64_t total = total_IN(window, in, y, x, at);
                struct real mean = scaled(total < 0 ? (uint64_t)-total : (uint64_t)total, multiplier);

                *out++ = (OUT_t)clamped_WIDE(mean, total < 0, lowest, highest);
                x += window->stride_columns;
                at += window->stride_columns;
            }
        }
    }
}
