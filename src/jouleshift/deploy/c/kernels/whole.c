/* needs: real halved */
/* The integer nearest to a real, half to even; the largest WIDE_t where it is larger than that. */
static WIDE_t whole_WIDE(struct real real)
{
    const WIDE_t largest = (WIDE_t)((uWIDE_t)-1 >> 1);
    int32_t up = real.exponent;

    if (up <= 0) {
        return up < -25 ? 0 : (WIDE_t)halved(real.mantissa, (uint32_t)-up);
    }
    if (real.mantissa == 0) {
        return 0;
    }
    if (up >= (int32_t)sizeof(WIDE_t) * 8 || (largest >> up) < (WIDE_t)real.mantissa) {
        return largest;
    }
    return (WIDE_t)((uWIDE_t)real.mantissa << up);
}
