/* Reads images and prints their logits, one image a line.

       @name@ [-q] [-b | -c EXPECTED] [FILE]

   FILE (or standard input) holds images one after another, each @NAME@_INPUT_SIZE numbers, channel by channel
   and row by row, in this machine's byte order: float32 as the network was trained on them; with -q integers as
   @NAME@_pixel, already quantised. With -b logits are written as float32, not as text. With -c they are compared
   with those in the file EXPECTED, as -b writes them, and the program fails unless most images come within
   @percent@ % of the span of all logits: what remains is the order in which layers of floats add. */
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

/* The largest less the smallest number of a file of float32. */
static float span(FILE *from)
{
    float value, low = 0, high = 0;
    int first = 1;

    for (; fread(&value, sizeof value, 1, from) == 1; first = 0) {
        low = first || value < low ? value : low;
        high = first || value > high ? value : high;
    }
    rewind(from);
    return high - low;
}

struct tally {
    long images, same, near;
    float bound;
};

/* Compares one image's logits with the next ones expected; 0 where there are none. */
static int compare(const @name@_logit *logits, FILE *expected, struct tally *tally)
{
    static float wanted[@NAME@_OUTPUT_SIZE];
    int same = 1, near = 1;
    size_t i;

    if (fread(wanted, sizeof wanted, 1, expected) != 1) {
        return 0;
    }
    for (i = 0; i < @NAME@_OUTPUT_SIZE; i++) {
        float off = (float)logits[i] * @NAME@_OUTPUT_STEP - wanted[i];

        same = same && off == 0;
        near = near && off <= tally->bound && -off <= tally->bound;
    }
    tally->images++;
    tally->same += same;
    tally->near += near;
    return 1;
}

static int verdict(const struct tally *tally, FILE *expected)
{
    printf("%ld of %ld images have the expected logits, %ld to within @percent@ %% of the span of all logits\n",
           tally->same, tally->images, tally->near);
    if (fgetc(expected) != EOF) {
        return complain("there are fewer images than logits", "");
    }
    return 2 * tally->near > tally->images ? 0 : complain("this is not the network exported", "");
}

int main(int argc, char **argv)
{
    static @name@_logit logits[@NAME@_OUTPUT_SIZE];
    int quantised = 0, binary = 0, i;
    struct tally tally = {0, 0, 0, 0};
    FILE *from = stdin, *expected = NULL;
    size_t bytes;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-b") == 0) {
            binary = 1;
        } else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            expected = fopen(argv[++i], "rb");
            if (expected == NULL) {
                return complain("cannot read ", argv[i]);
            }
            tally.bound = @nearly@f * span(expected);
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
        if (expected == NULL) {
            show(logits, binary);
        } else if (!compare(logits, expected, &tally)) {
            return complain("there are fewer logits than images", "");
        }
    }
    if (ferror(from)) {
        return complain("reading failed", "");
    }
    if (bytes != 0) {
        return complain("the last image is incomplete", "");
    }
    if (expected != NULL) {
        return verdict(&tally, expected);
    }
    return fflush(stdout) == 0 ? 0 : complain("writing failed", "");
}
