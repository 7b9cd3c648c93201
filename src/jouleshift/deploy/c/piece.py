"""What one node of a program becomes in C."""

import math
from dataclasses import dataclass
from typing import Literal

from jouleshift.deploy import nodes as p
from jouleshift.deploy.c.kernels import Kernel
from jouleshift.deploy.c.tables import c_type
from jouleshift.deploy.program import IntegerProgram
from jouleshift.errors import BadInput

LARGEST_FORMAT_BITS = 62


@dataclass(frozen=True)
class Room:
    """Memory that a node needs while it runs. A `frame` is filled before anything is computed."""

    name: str
    n_bytes: int
    frame: bool = False


@dataclass(frozen=True)
class Piece:
    """`call` is C with {in0}, {in1}, {out} and the names of rooms for addresses.

    `reads_first`: the whole source is in a frame before the output is written, so they may share memory.
    `in_place`: the positions of sources whose memory the output may take over.
    """

    call: str
    kernels: tuple[Kernel, ...] = ()
    tables: str = ""
    rooms: tuple[Room, ...] = ()
    reads_first: bool = False
    in_place: tuple[int, ...] = ()


@dataclass(frozen=True)
class Context:
    """The program, and the number of the node, which its tables are named by."""

    program: IntegerProgram
    number: int

    def source(self, node: p.Node, position: int = 0) -> p.Value:
        return self.program.values[node.sources[position]]


def storage(value: p.Value) -> str:
    """What holds a value's elements: "uint8", … or "float32"."""
    if value.format is None:
        return "float32"
    fmt = value.format
    if fmt.integer_bits + fmt.fraction_bits > LARGEST_FORMAT_BITS:
        raise BadInput(
            f"{value.name}: C holds at most {LARGEST_FORMAT_BITS} bits, not {fmt.integer_bits} + "
            f"{fmt.fraction_bits}; use fewer bits for activations"
        )
    return c_type(fmt, p.container_bits(fmt))


def element_bytes(storage: str) -> int:
    """The bytes of "uint8", …, "float32"."""
    return int(storage.removeprefix("u").removeprefix("int").removeprefix("float")) // 8


def elements(value: p.Value) -> int:
    return math.prod(value.shape)


def value_bytes(value: p.Value) -> int:
    return elements(value) * element_bytes(storage(value))


def width_for(smallest: int, largest: int, where: str) -> Literal["int32", "int64"]:
    """The signed type that holds everything between two bounds."""
    reach = max(-smallest, largest)
    if reach < 1 << 31:
        return "int32"
    if reach < 1 << 62:
        return "int64"
    raise BadInput(f"{where}: an intermediate value needs more than 63 bits; use fewer bits for activations")
