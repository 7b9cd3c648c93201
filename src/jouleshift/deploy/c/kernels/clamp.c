/* Values clamped. */
static void clamp_IN(const IN_t *in, IN_t *out, uint32_t count, IN_t lowest, IN_t highest)
{
    for (; count != 0; count--) {
        IN_t value = *in++;

        value = value < lowest ? lowest : value;
        *out++ = value > highest ? highest : value;
    }
}
