/* How bytes are copied into a larger block of zeros: planes of rows, each at its place. */
struct frame {
    uint32_t bytes, first, planes, rows, row, framed_row, plane_gap;
};

static void framed(const struct frame *frame, const void *in, void *out)
{
    const uint8_t *from = in;
    uint8_t *to = out;
    uint32_t plane, row;

    memset(to, 0, frame->bytes);
    to += frame->first;
    for (plane = frame->planes; plane != 0; plane--) {
        for (row = frame->rows; row != 0; row--) {
            memcpy(to, from, frame->row);
            from += frame->row;
            to += frame->framed_row;
        }
        to += frame->plane_gap;
    }
}
