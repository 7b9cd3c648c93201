/* Reads images and prints their logits, one image a line.

       @name@ [-q] [-b] [FILE]

   FILE (or standard input) holds images one after another, each @NAME@_INPUT_SIZE numbers, channel by channel
   and row by row, in this machine's byte order: float32 as the network was trained on them; with -q integers as
   @NAME@_pixel, already quantised. With -b logits are written as float32, not as text. */
#include "@name@.h"

#include <stdio.h>
#include <string.h>

static float image[@NAME@_INPUT_SIZE];
#ifdef @NAME@_QUANTISED_INPUT
static @name@_pixel pixels[@NAME@_INPUT_SIZE];
#endif

static int complain(const char *message, const char *what)
{
    fprintf(stderr, "@name@: %s%s\n", message, what);
    return 1;
}

/* One image's logits; how many bytes of it there were, or 0 at the end. */
static size_t next(FILE *from, int quantised, @name@_logit *logits)
{
    size_t bytes;

#ifdef @NAME@_QUANTISED_INPUT
    if (quantised) {
        bytes = fread(pixels, 1, sizeof pixels, from);
        if (bytes == sizeof pixels) {
            @name@_run_quantised(pixels, logits);
        }
        return bytes == sizeof pixels ? sizeof image : bytes;
    }
#endif
    (void)quantised;
    bytes = fread(image, 1, sizeof image, from);
    if (bytes == sizeof image) {
        @name@_run(image, logits);
    }
    return bytes;
}

static void show(const @name@_logit *logits, int binary)
{
    size_t i;

    for (i = 0; i < @NAME@_OUTPUT_SIZE; i++) {
        float value = (float)logits[i] * @NAME@_OUTPUT_STEP;

        if (binary) {
            fwrite(&value, sizeof value, 1, stdout);
        } else {
            printf("%s%.9g", i == 0 ? "" : " ", value);
        }
    }
    if (!binary) {
        putchar('\n');
    }
}

int main(int argc, char **argv)
{
    static @name@_logit logits[@NAME@_OUTPUT_SIZE];
    int quantised = 0, binary = 0, i;
    FILE *from = stdin;
    size_t bytes;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-b") == 0) {
            binary = 1;
#ifdef @NAME@_QUANTISED_INPUT
        } else if (strcmp(argv[i], "-q") == 0) {
            quantised = 1;
#endif
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            return complain("no such option: ", argv[i]);
        } else if (strcmp(argv[i], "-") != 0) {
            from = fopen(argv[i], "rb");
            if (from == NULL) {
                return complain("cannot read ", argv[i]);
            }
        }
    }
    while ((bytes = next(from, quantised, logits)) == sizeof image) {
        show(logits, binary);
    }
    if (ferror(from)) {
        return complain("reading failed", "");
    }
    if (bytes != 0) {
        return complain("the last image is incomplete", "");
    }
    return fflush(stdout) == 0 ? 0 : complain("writing failed", "");
}
