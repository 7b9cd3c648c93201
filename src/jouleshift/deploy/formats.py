"""Which values are integers, and of which format.

A shift layer says what it reads: its input format is part of the trained network. Everything else follows.

*Integer or float.* What lies between shift layers is integers: a value made of shift layers' results alone
and read, whatever comes between, by shift layers alone. Where an unconverted layer reads or writes it, a
value is float32, and a shift layer rounds it when it reads it.

*Format.* Backwards from the readers: shift layers state theirs; pooling, concatenation, padding and the like
pass theirs on to what they read, or, where only sums read them, keep what they read. A value whose readers
differ gets the format that holds all of them, and is rounded again by each: what a ReLU reads and a sum too
needs a sign, though the layer behind the ReLU reads without one. An operand of a residual sum that
no shift layer reads is not rounded in training at all. Its format has as many bits as the sum's, but at least
a byte, since it takes up one anyway, and the number of fraction bits that loses least on the example images;
without real images (a blank one), a bit of fraction is given up for the sign.

*Stretched.* A ReLU6 ends at 6, for the sake of low precision (Sandler et al., 2018, section 3), the unsigned
format of 3 + 5 bits at 8: a quarter of its numbers is never used, and 6 lies at 192 of 255. Integers saturate
at the end of their bytes for nothing; to end before it takes a clip of its own. So where a layer's result is
clamped within the last octave of the unsigned byte as which layers alone read it, 255 stands for the limit.
Steps are finer than training's, by 255/192, the clip is gone, and the layers' multipliers take the factor.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from jouleshift.deploy.graph import Step
from jouleshift.deploy.refusals import refusal
from jouleshift.nn.layers import ShiftLayer
from jouleshift.quant.fixed_point import FixedPoint, round_to_fixed

_CARRIES = frozenset({"clamp", "concat", "max", "subsample", "pad", "flatten"})
"""Steps whose result is in the format they read."""
_CONVERTS = frozenset({"add", "average", "norm"})
"""Steps that take any format and round to their own."""

_BYTE = 8
_WIDEST = 53
"""Bits of the widest value made for readers that differ: what all executors but OpenVINO hold."""

Losses = Callable[[Sequence[FixedPoint]], list[float]]
"""The mean squared error that each format would make of a value on the example images."""


@dataclass(frozen=True)
class Formats:
    """The format of every integer value by its step's name; other values are float32."""

    by_name: dict[str, FixedPoint]
    notes: tuple[str, ...]


def input_format(step: Step) -> FixedPoint:
    """The format in which a shift layer reads."""
    return cast(ShiftLayer, step.module).input_format


def stretches(steps: list[Step], output: str) -> dict[str, float]:
    """What each stretched value is multiplied by, beyond its format's scale, by the step's name: 1 to 2."""
    found: dict[str, float] = {}
    for step in steps:
        readers = [reader for reader in steps if step.name in reader.sources]
        if step.kind != "shift" or step.highest is None or step.name == output or not readers:
            continue
        fmt, *others = {input_format(each) if each.kind == "shift" else None for each in readers}
        fills_a_byte = fmt and not fmt.signed and fmt.integer_bits + fmt.fraction_bits == _BYTE
        if fmt and fills_a_byte and not others and fmt.highest / 2 < step.highest < fmt.highest:
            found[step.name] = fmt.highest / step.highest
    return found


def assign(steps: list[Step], losses: Callable[[Step], Losses]) -> Formats:
    """Settle the format of every integer value but the network's output."""
    readers = {step.name: [r for r in steps if step.name in r.sources] for step in steps}
    integer = _integer_steps(steps, readers)
    steps = [step for step in steps if step.name in integer]
    unsigned = _never_negative(steps)
    found: dict[str, FixedPoint] = {}
    undecided: list[Step] = []
    notes: list[str] = []
    for step in reversed(steps):
        wanted = {
            input_format(reader) if reader.kind == "shift" else found[reader.name]
            for reader in readers[step.name]
            if reader.kind not in _CONVERTS and reader not in undecided
        }
        if wanted:
            summed = any(reader.kind in _CONVERTS or reader in undecided for reader in readers[step.name])
            joint = _holds_all(wanted, step, signed=summed and step.name not in unsigned)
            found[step.name] = _filled(joint, losses(step)) if summed else joint
            if len(wanted) > 1:
                notes.append(f"{step.layer}: read in {len(wanted)} formats, kept in one and rounded again")
            continue
        nearby = [found[reader.name] for reader in readers[step.name]]
        if step.kind in _CARRIES - {"concat"}:
            undecided.append(step)
            found[step.name] = nearby[0]
        else:
            found[step.name] = _chosen(nearby, losses(step), signed=step.name not in unsigned)
    for step in reversed(undecided):
        found[step.name] = found[step.sources[0]]
    return Formats(found, tuple(notes))


def _integer_steps(steps: list[Step], readers: dict[str, list[Step]]) -> set[str]:
    made_of_shifts: set[str] = set()
    for step in steps:
        passive = step.kind in _CARRIES | _CONVERTS and made_of_shifts.issuperset(step.sources)
        if step.kind == "shift" or passive:
            made_of_shifts.add(step.name)
    read_by_shifts: set[str] = set()
    for step in reversed(steps):
        if readers[step.name] and all(
            reader.kind == "shift" or (reader.name in read_by_shifts and reader.name in made_of_shifts)
            for reader in readers[step.name]
        ):
            read_by_shifts.add(step.name)
    return made_of_shifts & read_by_shifts


def _never_negative(steps: list[Step]) -> set[str]:
    """Steps that make no negative number: clamped at zero, or made of such without a weight."""
    found: set[str] = set()
    for step in steps:
        clamped = step.lowest is not None and step.lowest >= 0
        keeps = step.kind in _CARRIES | {"add", "average"} and found.issuperset(step.sources)
        if clamped or keeps:
            found.add(step.name)
    return found


def _holds_all(formats: set[FixedPoint], step: Step, signed: bool) -> FixedPoint:
    """The narrowest format that holds every value of all of them, and negative ones too where `signed`."""
    signed = signed or any(fmt.signed for fmt in formats)
    magnitude = max(fmt.integer_bits - fmt.signed for fmt in formats)
    joint = FixedPoint(magnitude + signed, max(fmt.fraction_bits for fmt in formats), signed)
    if joint.integer_bits + joint.fraction_bits > _WIDEST:
        reason = f"no {_WIDEST} bits hold what its readers want"
        raise refusal(step.layer, reason, "give them fewer bits, or formats more alike")
    return joint


def _filled(fmt: FixedPoint, losses: Losses) -> FixedPoint:
    """The format of a byte that holds `fmt` and loses least; `fmt` itself where it has a byte or more."""
    spare = _BYTE - fmt.integer_bits - fmt.fraction_bits
    candidates = [
        FixedPoint(fmt.integer_bits + spare - more, fmt.fraction_bits + more, fmt.signed)
        for more in range(spare, -1, -1)
    ]
    return candidates[int(np.argmin(losses(candidates)))] if spare > 0 else fmt


def _chosen(nearby: Iterable[FixedPoint], losses: Losses, signed: bool) -> FixedPoint:
    """The format of an operand that only sums read, whose formats are `nearby`."""
    widest = max(nearby, key=lambda fmt: fmt.integer_bits + fmt.fraction_bits)
    own_bits = widest.integer_bits + widest.fraction_bits
    bits = max(own_bits, _BYTE)
    usual = widest.fraction_bits + bits - own_bits - (signed and not widest.signed)
    fractions = [f for f in range(usual - 3, usual + 4) if 0 <= f < bits]
    candidates = [FixedPoint(bits - f, f, signed) for f in fractions]
    lost = losses(candidates)
    if not any(lost):
        return FixedPoint(bits - usual, usual, signed) if usual >= 0 else candidates[0]
    return candidates[int(np.argmin(lost))]


def squared_error(values: Tensor | None) -> Losses:
    """`Losses` of values as the network makes them; without any, no format loses anything."""

    def losses(formats: Sequence[FixedPoint]) -> list[float]:
        if values is None:
            return [0.0] * len(formats)
        return [float(torch.mean((round_to_fixed(values, fmt) - values) ** 2)) for fmt in formats]

    return losses
