"""Where each value and each node's working memory lies, and the calls with those addresses in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from jouleshift.deploy.c.arena import Buffer, live_bytes, plan
from jouleshift.deploy.c.piece import Piece, value_bytes
from jouleshift.deploy.program import IntegerProgram

IMAGE = "image"
"""The C parameter that holds the program's input, which is the caller's memory."""


@dataclass(frozen=True)
class Layout:
    """`calls` in order of the nodes; `offsets` of values in the arena; sizes in bytes.

    `sum_bytes` is what values and working memory would take side by side.
    """

    calls: tuple[str, ...]
    offsets: dict[str, int]
    arena_bytes: int
    live_bytes: int
    sum_bytes: int


def lay_out(program: IntegerProgram, pieces: Sequence[Piece]) -> Layout:
    """Plan the memory of a program whose nodes have become `pieces`."""
    owners = _owners(program, pieces)
    values = _value_buffers(program, pieces, owners)
    rooms = [
        Buffer(_room(i, room.name), room.n_bytes, 2 * i + (not room.frame), 2 * i + 1)
        for i, piece in enumerate(pieces)
        for room in piece.rooms
    ]
    buffers = [*values, *rooms]
    planned = plan(buffers)
    offsets = {name: planned.offsets[_value(owner)] for name, owner in owners.items()}
    calls = []
    for i, (node, piece) in enumerate(zip(program.nodes, pieces, strict=True)):
        addresses = {f"in{k}": _address(name, offsets) for k, name in enumerate(node.sources)}
        addresses["out"] = _address(node.output.name, offsets)
        addresses |= {room.name: f"at({planned.offsets[_room(i, room.name)]})" for room in piece.rooms}
        calls.append(piece.call.format(**addresses))
    return Layout(
        tuple(calls), offsets, planned.n_bytes, live_bytes(buffers), sum(buffer.n_bytes for buffer in buffers)
    )


def _owners(program: IntegerProgram, pieces: Sequence[Piece]) -> dict[str, str]:
    """For each value but the input, the value whose memory it lies in: its own, or that of a source which
    nobody reads later."""
    owners: dict[str, str] = {}
    last_use = program.last_use
    for i, (node, piece) in enumerate(zip(program.nodes, pieces, strict=True)):
        takeable = (
            owners[node.sources[position]]
            for position in piece.in_place
            if node.sources[position] != program.input.name
            and all(
                last_use.get(v, 0) <= i
                for v, owner in owners.items()
                if owner == owners[node.sources[position]]
            )
            and value_bytes(program.values[node.sources[position]]) >= value_bytes(node.output)
        )
        owners[node.output.name] = next(takeable, node.output.name)
    return owners


def _value_buffers(program: IntegerProgram, pieces: Sequence[Piece], owners: dict[str, str]) -> list[Buffer]:
    made = {node.output.name: 2 * i + 1 for i, node in enumerate(program.nodes)}
    end = 2 * len(program.nodes)
    read = {name: made[name] for name in owners}
    for i, (node, piece) in enumerate(zip(program.nodes, pieces, strict=True)):
        for name in {*node.sources} - {program.input.name}:
            read[name] = max(read[name], 2 * i + (not piece.reads_first))
    if program.output_name in read:
        read[program.output_name] = end
    return [
        Buffer(
            _value(owner),
            value_bytes(program.values[owner]),
            made[owner],
            max(read[name] for name, its in owners.items() if its == owner),
        )
        for owner in dict.fromkeys(owners.values())
    ]


def _value(name: str) -> str:
    return f"value {name}"


def _room(node: int, name: str) -> str:
    return f"room {node} {name}"


def _address(name: str, offsets: dict[str, int]) -> str:
    return f"at({offsets[name]})" if name in offsets else IMAGE
