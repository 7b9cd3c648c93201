/* How many bits `value` has, 0 for 0. */
static int32_t bits(uint32_t value)
{
    int32_t n = 0;

    if (value >> 16) {
        n += 16;
        value >>= 16;
    }
    if (value >> 8) {
        n += 8;
        value >>= 8;
    }
    if (value >> 4) {
        n += 4;
        value >>= 4;
    }
    while (value != 0) {
        n++;
        value >>= 1;
    }
    return n;
}
