/* value / 2^n rounded half to even, n in 0 ... 63, value below 2^63. */
static uint64_t halved(uint64_t value, uint32_t n)
{
    uint64_t half;

    if (n == 0) {
        return value;
    }
    half = (uint64_t)1 << (n - 1);
    return (value + (half - 1) + ((value >> n) & 1)) >> n;
}
