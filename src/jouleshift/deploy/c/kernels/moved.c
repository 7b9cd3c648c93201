/* value * 2^left, exact; and value / 2^right, rounded half to even. Without shifting negative numbers, which C
   leaves to the compiler. */
static WIDE_t raised_WIDE(WIDE_t value, uint32_t left)
{
    return value < 0 ? -(WIDE_t)((uWIDE_t)-value << left) : (WIDE_t)((uWIDE_t)value << left);
}

static WIDE_t lowered_WIDE(WIDE_t value, uint32_t right)
{
    uWIDE_t magnitude = value < 0 ? (uWIDE_t)-value : (uWIDE_t)value;

    if (right != 0) { /* half to even is the same on either side of zero */
        magnitude = (magnitude + (((uWIDE_t)1 << (right - 1)) - 1) + ((magnitude >> right) & 1)) >> right;
    }
    return value < 0 ? -(WIDE_t)magnitude : (WIDE_t)magnitude;
}
