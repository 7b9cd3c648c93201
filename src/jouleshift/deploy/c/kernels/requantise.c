/* needs: moved */
/* Integers of one format to another: q * 2^left / 2^right, rounded and clamped. */
static void requantise_IN_OUT_WIDE(const IN_t *in, OUT_t *out, uint32_t count, uint32_t left, uint32_t right,
                                   WIDE_t lowest, WIDE_t highest)
{
    for (; count != 0; count--) {
        WIDE_t value = lowered_WIDE(raised_WIDE(*in++, left), right);

        value = value < lowest ? lowest : value;
        *out++ = (OUT_t)(value > highest ? highest : value);
    }
}
