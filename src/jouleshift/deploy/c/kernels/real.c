/* A float32 without its sign: mantissa * 2^exponent, the mantissa below 2^24. */
struct real {
    uint32_t mantissa;
    int32_t exponent;
};
