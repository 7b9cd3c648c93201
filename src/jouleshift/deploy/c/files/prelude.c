#include "@name@.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#ifndef JS_PIXELS /* how many pixels are summed at once */
#if defined(__arm__)
#define JS_PIXELS 4
#else
#define JS_PIXELS 8
#endif
#endif

typedef float float32_t;

/* All values and working memory, shared; its size is in @name@.h. */
static union {
    uint64_t aligned;
    uint8_t bytes[@NAME@_ARENA_BYTES];
} arena;

static void *at(size_t offset)
{
    return arena.bytes + offset;
}
