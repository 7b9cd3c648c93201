"""Nodes as C: one function for each kind."""

from functools import singledispatch

import numpy as np

from jouleshift.deploy import nodes as p
from jouleshift.deploy.c import layers, tables
from jouleshift.deploy.c.kernels import kernel
from jouleshift.deploy.c.layers import initialiser, limits
from jouleshift.deploy.c.piece import Context, Piece, element_bytes, elements, storage, value_bytes, width_for


@singledispatch
def piece(node: p.Node, context: Context) -> Piece:
    """The C of one node."""
    raise TypeError(f"no C for {type(node).__name__}")


@piece.register
def _(node: p.ShiftLayer, context: Context) -> Piece:
    return layers.shift_layer(node, context)


@piece.register
def _(node: p.FloatLayer, context: Context) -> Piece:
    return layers.float_layer(node, context)


def _format_limits(value: p.Value) -> str:
    lowest, highest = p.limits(value.fixed)
    return f"{tables.integer(lowest)}, {tables.integer(highest)}"


@piece.register
def _(node: p.Quantise, context: Context) -> Piece:
    out = storage(node.output)
    count, fraction_bits = elements(node.output), node.output.fixed.fraction_bits
    call = f"quantise_{out}({{in0}}, {{out}}, {count}, {fraction_bits}, {_format_limits(node.output)});"
    return Piece(call, (kernel("quantise", OUT=out),))


@piece.register
def _(node: p.Requantise, context: Context) -> Piece:
    source = context.source(node)
    finer = node.output.fixed.fraction_bits - source.fixed.fraction_bits
    left, right = max(finer, 0), max(-finer, 0)
    lowest, highest = (bound << left for bound in p.limits(source.fixed))
    types = {
        "IN": storage(source),
        "OUT": storage(node.output),
        "WIDE": _wide(lowest, highest, right, node.output),
    }
    name = f"requantise_{types['IN']}_{types['OUT']}_{types['WIDE']}"
    call = f"{name}({{in0}}, {{out}}, {elements(source)}, {left}, {right}, {_format_limits(node.output)});"
    return Piece(call, (kernel("requantise", **types),), in_place=(0,) if types["IN"] == types["OUT"] else ())


def _wide(lowest: int, highest: int, right: int, output: p.Value) -> str:
    """The type of an exact intermediate, its rounding and its clamp."""
    least, most = p.limits(output.fixed)
    room = 1 << right
    return width_for(min(lowest - room, least), max(highest + room, most), output.name)


@piece.register
def _(node: p.Add, context: Context) -> Piece:
    bounds = limits(node)
    clamp, count = f"{bounds['lowest']}, {bounds['highest']}", elements(node.output)
    if node.output.format is None:
        call = f"addfloats({{in0}}, {{in1}}, {{out}}, {count}, {clamp});"
        return Piece(call, (kernel("addfloats"),), in_place=(0, 1))
    sources = [context.source(node, 0), context.source(node, 1)]
    finest = max(source.fixed.fraction_bits for source in sources)
    raised = [finest - source.fixed.fraction_bits for source in sources]
    finer = node.output.format.fraction_bits - finest
    left, right = max(finer, 0), max(-finer, 0)
    reach = [
        sum(p.limits(source.fixed)[end] << up for source, up in zip(sources, raised, strict=True)) << left
        for end in (0, 1)
    ]
    types = {
        "LEFT": storage(sources[0]),
        "RIGHT": storage(sources[1]),
        "OUT": storage(node.output),
        "WIDE": _wide(reach[0], reach[1], right, node.output),
    }
    same = tuple(i for i, source in enumerate(sources) if storage(source) == types["OUT"])
    call = (
        f"add_{'_'.join(types.values())}({{in0}}, {{in1}}, {{out}}, {count}, "
        f"{raised[0]}, {raised[1]}, {left}, {right}, {clamp});"
    )
    return Piece(call, (kernel("add", **types),), in_place=same)


@piece.register
def _(node: p.Clamp, context: Context) -> Piece:
    kind, bounds = storage(node.output), limits(node)
    count = elements(node.output)
    call = f"clamp_{kind}({{in0}}, {{out}}, {count}, {bounds['lowest']}, {bounds['highest']});"
    return Piece(call, (kernel("clamp", IN=kind),), in_place=(0,))


@piece.register
def _(node: p.Concat, context: Context) -> Piece:
    calls, offset = [], 0
    for position in range(len(node.sources)):
        count = value_bytes(context.source(node, position))
        calls.append(f"joined({{out}}, {offset}, {{in{position}}}, {count});")
        offset += count
    return Piece("\n    ".join(calls), (kernel("joined"),))


def _window(node: p.MaxPool | p.AveragePool, context: Context) -> str:
    """The C table of a pooling window."""
    channels, height, width = context.source(node).shape
    g = node.geometry
    top, left, _, _ = g.padding
    fields = {
        "planes": channels, "rows": height, "columns": width,
        "out_rows": node.output.shape[1], "out_columns": node.output.shape[2],
        "kernel_rows": g.kernel[0], "kernel_columns": g.kernel[1],
        "stride_rows": g.stride[0], "stride_columns": g.stride[1],
        "dilation_rows": g.dilation[0], "dilation_columns": g.dilation[1],
        "top": top, "left": left, "plane": height * width,
        "kernel_row": g.dilation[0] * width, "down": g.stride[0] * width, "first": -top * width - left,
    }  # fmt: skip
    return f"static const struct window window_{context.number} =\n    {initialiser(fields)};\n"


@piece.register
def _(node: p.MaxPool, context: Context) -> Piece:
    kind = storage(node.output)
    least = "-HUGE_VALF" if node.output.format is None else tables.integer(p.limits(node.output.format)[0])
    call = f"maxpool_{kind}(&window_{context.number}, {{in0}}, {{out}}, {least});"
    return Piece(call, (kernel("maxpool", IN=kind),), _window(node, context))


@piece.register
def _(node: p.AveragePool, context: Context) -> Piece:
    source, window = context.source(node), f"&window_{context.number}"
    if node.output.format is None:
        call = f"averagefloats({window}, {{in0}}, {{out}}, {tables.floating(node.multiplier)});"
        return Piece(call, (kernel("averagefloats"),), _window(node, context))
    chosen = kernel("averagepool", IN=storage(source), OUT=storage(node.output))
    name = "_".join(("averagepool", *map(chosen.value, ("IN", "OUT", "WIDE"))))
    (pattern,) = tables.patterns(np.array([node.multiplier], np.float32))
    call = f"{name}({window}, {{in0}}, {{out}}, {pattern}, {_format_limits(node.output)});"
    return Piece(call, (chosen,), _window(node, context))


@piece.register
def _(node: p.Subsample, context: Context) -> Piece:
    kind = storage(node.output)
    channels, height, width = context.source(node).shape
    _, rows, columns = node.output.shape
    down, right = node.step
    call = (
        f"subsample_{kind}({{in0}}, {{out}}, {channels}, {rows}, {columns}, "
        f"{right}, {down * width}, {height * width});"
    )
    return Piece(call, (kernel("subsample", IN=kind),))


@piece.register
def _(node: p.Pad, context: Context) -> Piece:
    source, element = context.source(node), element_bytes(storage(node.output))
    channels, height, width = source.shape
    (before, _), (top, bottom), (left, right) = node.amounts
    framed = (height + top + bottom, width + left + right)
    way = layers.Walk(
        1, channels, (height, width), framed, (before * framed[0] + top) * framed[1] + left,
        (1, 1), (1, 1), (1, 1), framed,
    )  # fmt: skip
    fields = way.frame(element, elements(node.output))
    table = f"static const struct frame frame_{context.number} =\n    {fields};\n"
    return Piece(f"framed(&frame_{context.number}, {{in0}}, {{out}});", (kernel("framed"),), table)


@piece.register
def _(node: p.Flatten, context: Context) -> Piece:
    return Piece("memmove({out}, {in0}, " + str(value_bytes(node.output)) + ");", in_place=(0,))
