/* needs: codes */
/* A run of taps of one sign: before it the sum is doubled `doublings` times, then `count` inputs are added
   (subtracted if `negative`). */
struct run_TAP {
    TAP_t count;
    uint8_t doublings;
    uint8_t negative;
};

/* Which inputs a channel reads: (plane, row, column) of its kernel, as steps from one tap to the next. */
struct reach_TAP {
    uint32_t planes, rows, columns;
    TAP_t column_step, row_step, plane_step;
};

/* The weights of the next channel as taps sorted by code (largest weights first), with their runs.
   Returns how many runs; `ends` has room for every code. */
static uint32_t taps_TAP(struct codes *codes, const struct reach_TAP *reach, TAP_t *taps, struct run_TAP *runs,
                         TAP_t *ends)
{
    struct codes counting = *codes;
    uint32_t plane, row, column, code, n_runs = 0, distance = 0;
    TAP_t offset = 0, end = 0;

    memset(ends, 0, sizeof *ends << codes->width);
    for (plane = reach->planes; plane != 0; plane--) {
        for (row = reach->rows; row != 0; row--) {
            for (column = reach->columns; column != 0; column--) {
                ends[next_code(&counting)]++;
            }
        }
    }
    for (code = 0; code < codes->zero; code++) {
        TAP_t count = ends[code];

        ends[code] = end; /* where the code's taps begin; filling moves it to where they end */
        end = (TAP_t)(end + count);
        if (count != 0) {
            runs[n_runs].count = count;
            runs[n_runs].doublings = (uint8_t)((code >> 1) - distance);
            runs[n_runs].negative = (uint8_t)(code & 1);
            distance = code >> 1;
            n_runs++;
        }
    }
    for (plane = reach->planes; plane != 0; plane--) {
        for (row = reach->rows; row != 0; row--) {
            for (column = reach->columns; column != 0; column--) {
                code = next_code(codes);
                if (code < codes->zero) {
                    taps[ends[code]++] = offset;
                }
                offset = (TAP_t)(offset + reach->column_step);
            }
            offset = (TAP_t)(offset + reach->row_step);
        }
        offset = (TAP_t)(offset + reach->plane_step);
    }
    return n_runs;
}
