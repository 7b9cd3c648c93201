"""Write an integer program as C99: NAME.h, NAME.c, main.c, Makefile, README.md, example images to check with.

`nodes` says what each node becomes, `layout` where values and working memory lie, `kernels` supplies the
functions. The result equals `deploy.reference` integer for integer, and where layers stayed float nearly so;
`make check` in the folder compares.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jouleshift.deploy import nodes as p
from jouleshift.deploy.c import nodes
from jouleshift.deploy.c.kernels import rendered
from jouleshift.deploy.c.layout import Layout, lay_out
from jouleshift.deploy.c.piece import Context, Piece, elements, storage, value_bytes
from jouleshift.deploy.program import NEARLY, IntegerProgram
from jouleshift.errors import BadInput

_FILES = Path(__file__).parent / "files"
_LONGEST_NAME = 40
_TAKEN = ("main", "check", "clean", "makefile")
"""Names with a meaning beside a network: a file, and targets of its Makefile."""
Rule = Callable[[p.Node, Context], Piece]


@dataclass(frozen=True)
class Written:
    """What was written. `weight_bytes` are packed shift weights (and float weights of unconverted layers),
    `other_bytes` biases and multipliers, `arena_bytes` the working memory, of which `live_bytes` are needed
    at once and `sum_bytes` would be taken without sharing."""

    name: str
    header: Path
    source: Path
    weight_bytes: int
    other_bytes: int
    arena_bytes: int
    live_bytes: int
    sum_bytes: int


def write_c(
    program: IntegerProgram,
    folder: Path,
    name: str = "network",
    examples: p.Float32Array | None = None,
) -> Written:
    """Write the program into `folder` (made if missing). What C exports begins with `name`, as an identifier.

    `examples` (N, C, H, W) are images that are written too, with their logits by the reference, for
    `make check`. Raises `BadInput` for activations of more than 62 bits, and for a name that is taken.
    """
    return _write(program, Path(folder), name, examples, nodes.piece)


def _write(
    program: IntegerProgram, folder: Path, name: str, examples: p.Float32Array | None, rule: Rule
) -> Written:
    name = identifier(name)
    if name in _TAKEN:
        raise BadInput(f"{name}.c cannot be a network: its Makefile or main.c need the name; choose another")
    pieces = [rule(node, Context(program, i)) for i, node in enumerate(program.nodes)]
    layout = lay_out(program, pieces)
    folder.mkdir(parents=True, exist_ok=True)
    header, source = folder / f"{name}.h", folder / f"{name}.c"
    header.write_text(_header(program, name, layout))
    source.write_text(_source(program, name, pieces, layout))
    written = Written(name, header, source, program.weight_bytes, program.constant_bytes, *_sizes(layout))
    for template in ("main.c", "Makefile", "README.md"):
        text = (_FILES / template).read_text()
        (folder / template).write_text(_filled(text, _facts(program, written)))
    if examples is not None:
        images = np.ascontiguousarray(examples, np.float32)
        images.tofile(folder / "examples.f32")
        program.run(images).tofile(folder / "expected.f32")
    return written


def identifier(name: str) -> str:
    """A C identifier in lower case made of any text.

    >>> identifier("../My net*/ 2")
    'my_net_2'
    """
    words = re.findall(r"[a-z0-9]+", name.lower())
    joined = "_".join(words)[:_LONGEST_NAME].strip("_") or "network"
    return f"net_{joined}" if joined[0].isdigit() else joined


def _sizes(layout: Layout) -> tuple[int, int, int]:
    return layout.arena_bytes, layout.live_bytes, layout.sum_bytes


def quantised_input(program: IntegerProgram) -> p.Quantise | None:
    """The one node that reads the image, if it makes integers of it: then a caller may supply those."""
    readers = [node for node in program.nodes if program.input.name in node.sources]
    match readers:
        case [p.Quantise() as only] if only is program.nodes[0]:
            return only
        case _:
            return None


def _header(program: IntegerProgram, name: str, layout: Layout) -> str:
    upper, output = name.upper(), program.output
    step = f"0x1p-{output.format.fraction_bits}f" if output.format else "1.0f"
    shape = " x ".join(map(str, program.input.shape))
    quantise = quantised_input(program)
    quantised = ""
    if quantise:
        scale = f"2^{quantise.output.fixed.fraction_bits}"
        quantised = (
            f"\n/* The same for pixels that are integers: round(x * {scale}), clamped. */"
            f"\n#define {upper}_QUANTISED_INPUT\ntypedef {storage(quantise.output)}_t {name}_pixel;\n"
            f"void {name}_run_quantised(const {name}_pixel *image, {name}_logit *logits);\n"
        )
    return f"""\
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

/* An image is {shape} numbers, channel by channel and row by row. */
#define {upper}_INPUT_SIZE {elements(program.input)}
#define {upper}_OUTPUT_SIZE {elements(output)}
#define {upper}_OUTPUT_STEP {step} /* a logit is an integer times this */

/* Working memory, one static array: {layout.arena_bytes} bytes. Alive at once are {layout.live_bytes};
   unshared it would be {layout.sum_bytes}. */
#define {upper}_ARENA_BYTES {layout.arena_bytes}

typedef {_c_name(storage(output))} {name}_logit;

/* Logits of an image of float32 numbers, normalised as in training. */
void {name}_run(const float *image, {name}_logit *logits);
{quantised}
#endif
"""


def _c_name(stored: str) -> str:
    return "float" if stored == "float32" else f"{stored}_t"


def _source(program: IntegerProgram, name: str, pieces: list[Piece], layout: Layout) -> str:
    upper = name.upper()
    prelude = (_FILES / "prelude.c").read_text()
    used = [kernel for piece in pieces for kernel in piece.kernels]
    tables = "\n".join(piece.tables for piece in pieces if piece.tables)
    calls = [
        f"    /* {_comment(node)} */\n    {call}\n"
        for node, call in zip(program.nodes, layout.calls, strict=True)
    ]
    facts = {"name": name, "NAME": upper}
    return "\n".join(
        (_filled(prelude, facts), rendered(used), tables, _functions(program, name, calls, layout))
    )


def _functions(program: IntegerProgram, name: str, calls: list[str], layout: Layout) -> str:
    output = program.output
    result = f"    memcpy(logits, at({layout.offsets[output.name]}), {value_bytes(output)});\n"
    quantise = quantised_input(program)
    if quantise is None:
        return _function(f"void {name}_run(const float *image, {name}_logit *logits)", [*calls, result])
    pixels = quantise.output
    given = f"    memcpy(at({layout.offsets[pixels.name]}), image, {value_bytes(pixels)});\n"
    rest = "    layers(logits);\n"
    return "\n".join(
        (
            _function(f"static void layers({name}_logit *logits)", [*calls[1:], result]),
            _function(f"void {name}_run(const float *image, {name}_logit *logits)", [calls[0], rest]),
            _function(
                f"void {name}_run_quantised(const {name}_pixel *image, {name}_logit *logits)", [given, rest]
            ),
        )
    )


def _function(head: str, statements: list[str]) -> str:
    return f"{head}\n{{\n{''.join(statements)}}}\n"


def _comment(node: p.Node) -> str:
    """What a node is, with nothing in it that could end a comment or continue a line."""
    label = getattr(node, "layer", node.output.name)
    shape = "x".join(map(str, node.output.shape))
    text = f"{type(node).__name__} {label}: {shape} {storage(node.output)}"
    return re.sub(r"[^A-Za-z0-9_.: -]", "_", text)


def _filled(template: str, facts: Mapping[str, object]) -> str:
    return re.sub(r"@(\w+)@", lambda word: str(facts[word[1]]), template)


def _facts(program: IntegerProgram, written: Written) -> dict[str, object]:
    bits = sorted({layer.weights.weight_bits for layer in program.all(p.ShiftLayer)})
    floats = len(program.all(p.FloatLayer))
    kinds = [f"{' or '.join(map(str, bits))} bits each"] if bits else []
    kinds += [f"float32 in {floats} unconverted layer{'s' if floats > 1 else ''}"] if floats else []
    fmt = program.output.format
    logits = f"integers times 2^-{fmt.fraction_bits}" if fmt else "float32"
    quantise = quantised_input(program)
    quantised = ""
    if quantise:
        quantised = (
            f"\n`{written.name}_run_quantised` takes pixels that are integers already, "
            f"round(x · 2^{quantise.output.fixed.fraction_bits}) clamped to {storage(quantise.output)}; "
            f"`./{written.name} -q` reads such files.\n"
        )
    return {
        "name": written.name,
        "NAME": written.name.upper(),
        "arena_bytes": written.arena_bytes,
        "live_bytes": written.live_bytes,
        "weight_bytes": written.weight_bytes,
        "other_bytes": written.other_bytes,
        "weights_text": " and ".join(kinds) or "none",
        "shape": " × ".join(map(str, program.input.shape)),
        "quantised": quantised,
        "logits": logits,
        "nearly": NEARLY,
        "percent": f"{100 * NEARLY:.0f}",
        **_comparison(program),
    }


def _comparison(program: IntegerProgram) -> dict[str, str]:
    """How `make check` compares, as an option of main.c and in words."""
    if program.all_integer:
        bits = "-b examples.f32 | cmp - expected.f32"
        return {"compare": bits, "exactly": "bit for bit", "between": ""}
    near = f"within {100 * NEARLY:.0f} % of the span of all logits"
    between = (
        "\nLayers that stayed float32 are summed here in another order than by the reference: a logit may "
        "differ in its\nlast bits, and now and then an integer behind such a layer. So `make check` asks "
        f"that those of most images are\n{near} of what the reference gives, and says how many "
        "images\nhave every bit.\n"
    )
    return {"compare": "-c expected.f32 examples.f32", "exactly": f"most {near}", "between": between}
