/* needs: moved */
/* a * 2^raise_a + b * 2^raise_b, exact; then * 2^left / 2^right, rounded and clamped. */
static void add_LEFT_RIGHT_OUT_WIDE(const LEFT_t *a, const RIGHT_t *b, OUT_t *out, uint32_t count, uint32_t raise_a,
                             uint32_t raise_b, uint32_t left, uint32_t right, WIDE_t lowest, WIDE_t highest)
{
    for (; count != 0; count--) {
        WIDE_t value = raised_WIDE(*a++, raise_a) + raised_WIDE(*b++, raise_b);

        value = lowered_WIDE(raised_WIDE(value, left), right);
        value = value < lowest ? lowest : value;
        *out++ = (OUT_t)(value > highest ? highest : value);
    }
}
