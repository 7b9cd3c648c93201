/* needs: real whole */
/* A real and its sign, rounded to an integer and clamped. */
static WIDE_t clamped_WIDE(struct real real, int negative, WIDE_t lowest, WIDE_t highest)
{
    WIDE_t value = negative ? -whole_WIDE(real) : whole_WIDE(real);

    if (value < lowest) {
        return lowest;
    }
    return value > highest ? highest : value;
}
