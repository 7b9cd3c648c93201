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
    uint32_t taps, planes, rows, columns;
    TAP_t column_step, row_step, plane_step;
};

/* Where a channel is unpacked: its taps in order of their codes, the runs of these, and what that needs. */
struct unpacked_TAP {
    TAP_t *taps;
    struct run_TAP *runs;
    TAP_t *ends;    /* one for every code */
    uint8_t *codes; /* one for every tap */
};

/* Unpacks the weights of the next channel, largest first. Returns how many runs there are. */
static uint32_t unpack_TAP(struct codes *stream, const struct reach_TAP *reach, const struct unpacked_TAP *to)
{
    struct codes codes = *stream;
    TAP_t *ends = to->ends;
    uint8_t *code = to->codes;
    uint32_t plane, row, column, n, n_runs = 0, distance = 0;
    TAP_t offset = 0, end = 0;

    memset(ends, 0, sizeof *ends << codes.width);
    for (n = reach->taps; n != 0; n--, code++) {
        *code = (uint8_t)next_code(&codes);
        ends[*code]++;
    }
    *stream = codes;
    for (n = 0; n < codes.zero; n++) {
        TAP_t count = ends[n];

        ends[n] = end; /* where the code's taps begin; filling moves it to where they end */
        end = (TAP_t)(end + count);
        if (count != 0) {
            struct run_TAP *run = to->runs + n_runs++;

            run->count = count;
            run->doublings = (uint8_t)((n >> 1) - distance);
            run->negative = (uint8_t)(n & 1);
            distance = n >> 1;
        }
    }
    code = to->codes;
    for (plane = reach->planes; plane != 0; plane--) {
        for (row = reach->rows; row != 0; row--) {
            for (column = reach->columns; column != 0; column--, code++) {
                if (*code < codes.zero) {
                    to->taps[ends[*code]++] = offset;
                }
                offset = (TAP_t)(offset + reach->column_step);
            }
            offset = (TAP_t)(offset + reach->row_step);
        }
        offset = (TAP_t)(offset + reach->plane_step);
    }
    return n_runs;
}
