"""The same program in C with int8 weights that are multiplied: what shifts are compared with.

Everything but the inner loop is the writer's own: frames, memory plan, requantisation, blocks of pixels.
Weights lie there as bytes, in order, and are not unpacked; zeros are multiplied like other weights.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from jouleshift.deploy import nodes as p
from jouleshift.deploy.c import nodes, tables
from jouleshift.deploy.c.piece import Context, Piece

KERNELS = Path(__file__).parent / "kernels"


def dense(node: p.Node, context: Context) -> Piece:
    """What the writer makes of a node, with shift layers multiplied."""
    piece = nodes.piece(node, context)
    if not isinstance(node, p.ShiftLayer):
        return piece
    (kernel,) = piece.kernels
    integers = node.weights.integers.astype(np.int8).view(np.uint8)
    weights = tables.array("uint8_t", f"weights_{context.number}", tables.integers(integers))
    table = re.sub(r"\A.*?\};\n", lambda _: weights, piece.tables, flags=re.DOTALL)
    call = piece.call.replace("shift_", "dense_", 1).replace(", {runs}, {ends}, {codes}", "")
    rooms = tuple(room for room in piece.rooms if room.name not in ("runs", "ends", "codes"))
    return replace(
        piece, call=call, tables=table, rooms=rooms, kernels=(replace(kernel, stem="dense", folder=KERNELS),)
    )
