"""Layers with weights as C: a table of weights, a struct of numbers, one call.

A convolution whose kernel reaches beyond the image first copies its input into a frame of zeros. Then every
tap of the kernel is a fixed offset, and no pixel is a special case. All steps are computed here, so that the
C code only adds: offset of the next column, of the next row of the kernel less the columns passed, and so on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jouleshift.deploy import nodes as p
from jouleshift.deploy.c import tables
from jouleshift.deploy.c.kernels import kernel
from jouleshift.deploy.c.piece import Context, Piece, Room, element_bytes, elements, storage, value_bytes


@dataclass(frozen=True)
class Walk:
    """Where a layer's kernel goes over its (framed) input, all in elements of one group."""

    groups: int
    planes: int
    image: tuple[int, int]
    framed: tuple[int, int]
    first: int
    kernel: tuple[int, int]
    dilation: tuple[int, int]
    stride: tuple[int, int]
    outputs: tuple[int, int]

    @property
    def has_frame(self) -> bool:
        return self.framed != self.image

    @property
    def plane(self) -> int:
        """Elements of one framed plane."""
        return self.framed[0] * self.framed[1]

    @property
    def kernel_row(self) -> int:
        return self.dilation[0] * self.framed[1]

    @property
    def fan_in(self) -> int:
        return self.planes * self.kernel[0] * self.kernel[1]

    @property
    def furthest(self) -> int:
        """The largest offset of a tap."""
        (rows, columns), right = self.kernel, self.dilation[1]
        return (self.planes - 1) * self.plane + (rows - 1) * self.kernel_row + (columns - 1) * right

    def frame(self, element: int, size: int | None = None) -> str:
        """The C initialiser of `struct frame`, in bytes; `size` elements in all, by default its planes."""
        (rows, columns), (_, width) = self.image, self.framed
        fields = {
            "bytes": size or self.planes * self.plane,
            "first": self.first,
            "planes": self.planes,
            "rows": rows,
            "row": columns,
            "framed_row": width,
            "plane_gap": self.plane - rows * width,
        }
        scaled = {name: n if name in ("planes", "rows") else n * element for name, n in fields.items()}
        return initialiser(scaled)

    def room(self, element: int) -> list[Room]:
        return [Room("frame", self.planes * self.plane * element, frame=True)] if self.has_frame else []


def walk(source: p.Value, node: p.ShiftLayer | p.FloatLayer) -> Walk:
    """The walk of a layer over what it reads. A linear layer is a convolution of 1 × 1 pixels, and a 1 × 1
    convolution goes over all pixels as over one row."""
    geometry, one = node.geometry, (1, 1)
    if geometry is None:
        return Walk(1, elements(source), one, one, 0, one, one, one, one)
    channels, height, width = source.shape
    top, left, bottom, right = geometry.padding
    planes = channels // geometry.groups
    if geometry.kernel == one and geometry.stride == one and not any(geometry.padding):
        row = (1, height * width)
        return Walk(geometry.groups, planes, row, row, 0, one, one, one, row)
    framed = (height + top + bottom, width + left + right)
    return Walk(
        geometry.groups, planes, (height, width), framed, top * framed[1] + left, geometry.kernel,
        geometry.dilation, geometry.stride, (node.output.shape[1], node.output.shape[2]),
    )  # fmt: skip


def initialiser(fields: Mapping[str, object]) -> str:
    """A C struct's value."""
    return "{" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"


def shift_layer(node: p.ShiftLayer, context: Context) -> Piece:
    """A layer of shifts and additions."""
    source = context.source(node)
    way = walk(source, node)
    types = _types(node, source, way)
    chosen = kernel("shift", **types)
    number = context.number
    name = "_".join(("shift", *types.values()))
    frame = "{frame}" if way.has_frame else "NULL"
    working = "{sums}, {taps}, {runs}, {ends}, {codes}"
    call = f"{name}(&layer_{number}, {{in0}}, {{out}}, {frame}, {working});"
    rooms = (*way.room(element_bytes(types["IN"])), *_rooms(node, way, types))
    return Piece(
        call, (chosen,), _shift_tables(node, way, types, number), rooms, *_sharing(node, source, way)
    )


def _sharing(node: p.Node, source: p.Value, way: Walk) -> tuple[bool, tuple[int, ...]]:
    """Whether the source is read before the output is written: all of it, or group by group (then a group's
    results may take the place of what it read)."""
    fits = value_bytes(node.output) <= value_bytes(source)
    return way.has_frame and way.groups == 1, (0,) if way.has_frame and way.groups > 1 and fits else ()


def _types(node: p.ShiftLayer, source: p.Value, way: Walk) -> dict[str, str]:
    return {
        "IN": storage(source),
        "ACC": f"uint{node.accumulator_bits}",
        "TAP": "uint16" if way.furthest < (1 << 16) - 1 else "uint32",
        "STEP": str(way.stride[1]),
        "OUT": storage(node.output),
    }


def _rooms(node: p.ShiftLayer, way: Walk, types: dict[str, str]) -> list[Room]:
    tap = element_bytes(types["TAP"])
    codes = 1 << node.weights.weight_bits
    run = 2 * tap if tap > 2 else 4
    return [
        Room("sums", way.outputs[1] * node.accumulator_bits // 8),
        Room("taps", way.fan_in * tap),
        Room("runs", min(way.fan_in, codes) * run),
        Room("ends", codes * tap),
        Room("codes", way.fan_in),
    ]


def _shift_tables(node: p.ShiftLayer, way: Walk, types: dict[str, str], number: int) -> str:
    bias, wide = f"int{node.accumulator_bits}_t", kernel("shift", **types).value("WIDE")
    reach = {
        "taps": way.fan_in,
        "planes": way.planes,
        "rows": way.kernel[0],
        "columns": way.kernel[1],
        "column_step": way.dilation[1],
        "row_step": _modular(way.kernel_row - way.kernel[1] * way.dilation[1], types["TAP"]),
        "plane_step": _modular(way.plane - way.kernel[0] * way.kernel_row, types["TAP"]),
    }
    fields = {
        "weights": f"weights_{number}",
        "bias": f"bias_{number}",
        "multipliers": f"multipliers_{number}",
        **steps(way, len(node.bias)),
        "zero": tables.zero_code(node.weights),
        "width": node.weights.weight_bits,
        **limits(node),
        "frame": way.frame(element_bytes(types["IN"])),
        "reach": initialiser(reach),
    }
    return "".join(
        (
            tables.array("uint8_t", f"weights_{number}", map(str, tables.packed(node.weights))),
            tables.array(bias, f"bias_{number}", tables.integers(node.bias)),
            tables.array("uint32_t", f"multipliers_{number}", tables.patterns(node.multiplier)),
            f"static const struct layer_{types['ACC']}_{types['TAP']}_{wide} layer_{number} =\n"
            f"    {initialiser(fields)};\n",
        )
    )


def steps(way: Walk, channels: int) -> dict[str, object]:
    """The numbers that say how a layer goes over groups, channels and rows."""
    return {
        "groups": way.groups,
        "group_inputs": way.planes * way.image[0] * way.image[1],
        "group_channels": channels // way.groups,
        "rows": way.outputs[0],
        "columns": way.outputs[1],
        "down": way.stride[0] * way.framed[1],
    }


def limits(node: p.Clamped) -> dict[str, object]:
    """The clamp of a node, as literals of its output's type."""
    if node.output.format is None:
        return {
            "lowest": tables.floating(node.lowest, "-HUGE_VALF"),
            "highest": tables.floating(node.highest, "HUGE_VALF"),
        }
    least, most = p.limits(node.output.format)
    lowest = least if node.lowest is None else max(least, int(node.lowest))
    highest = most if node.highest is None else min(most, int(node.highest))
    return {"lowest": tables.integer(lowest), "highest": tables.integer(highest)}


def _modular(step: int, tap: str) -> int:
    """A step that may be negative, as an unsigned number to add."""
    return step % (1 << (8 * element_bytes(tap)))


def float_layer(node: p.FloatLayer, context: Context) -> Piece:
    """A layer that was not converted, in floating point."""
    source, number = context.source(node), context.number
    way = walk(source, node)
    fields = {
        "weights": f"weights_{number}",
        "bias": f"bias_{number}",
        **steps(way, len(node.bias)),
        "right": way.stride[1],
        "plane": way.plane,
        "kernel_planes": way.planes,
        "kernel_rows": way.kernel[0],
        "kernel_columns": way.kernel[1],
        "kernel_right": way.dilation[1],
        "kernel_down": way.kernel_row,
        **limits(node),
        "frame": way.frame(4),
    }
    text = (
        tables.array("float", f"weights_{number}", map(tables.floating, node.weight.ravel().tolist()))
        + tables.array("float", f"bias_{number}", map(tables.floating, node.bias.tolist()))
        + f"static const struct convfloats layer_{number} =\n    {initialiser(fields)};\n"
    )
    frame = "{frame}" if way.has_frame else "NULL"
    call = f"convfloats(&layer_{number}, {{in0}}, {{out}}, {frame});"
    return Piece(call, (kernel("convfloats"),), text, tuple(way.room(4)), *_sharing(node, source, way))
