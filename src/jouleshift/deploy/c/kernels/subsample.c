/* Every `step`-th pixel from the first. `row_step` and `plane_step` go from one row taken to the next, and from
   one plane to the next. */
static void subsample_IN(const IN_t *in, IN_t *out, uint32_t planes, uint32_t rows, uint32_t columns, uint32_t step,
                         uint32_t row_step, uint32_t plane_step)
{
    uint32_t row, column;

    for (; planes != 0; planes--, in += plane_step) {
        const IN_t *start = in;

        for (row = rows; row != 0; row--, start += row_step) {
            const IN_t *pixel = start;

            for (column = columns; column != 0; column--, pixel += step) {
                *out++ = *pixel;
            }
        }
    }
}
