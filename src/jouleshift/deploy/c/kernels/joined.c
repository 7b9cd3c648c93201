/* Bytes of one value behind those of others. */
static void joined(void *out, size_t offset, const void *in, size_t count)
{
    memcpy((uint8_t *)out + offset, in, count);
}
