"""What can be done in one go is made one step: norms into the layer before, clamps into whatever they clamp.

A batch norm behind a layer that nothing else reads is a factor and an offset per channel (`affine`). A ReLU
behind a layer or a sum clamps what that rounds anyway.
"""

from collections import Counter
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from jouleshift.deploy.graph import Step
from jouleshift.deploy.refusals import WHOLE, refusal

FloatArray = NDArray[np.float64]
_TAKES_CLAMP = ("shift", "float", "norm", "add", "clamp")


def fold(steps: list[Step], output: str) -> tuple[list[Step], str]:
    """The same network in fewer steps, in order, and the name of its output."""
    readers = Counter(source for step in steps for source in step.sources) + Counter([output])
    made: dict[str, Step] = {}
    names: dict[str, str] = {}
    for step in steps:
        step = replace(step, sources=tuple(names[source] for source in step.sources))
        before = made[step.sources[0]] if step.sources else None
        merged = _merged(before, step) if before and readers[before.name] == 1 else None
        if before and merged:
            readers[before.name] = readers[step.name]
            made[before.name] = merged
        else:
            made[step.name] = step
        names[step.name] = before.name if before and merged else step.name
    return list(made.values()), names[output]


def _merged(before: Step, step: Step) -> Step | None:
    """Both as one step under the first one's name, or None where they stay two."""
    unclamped = before.lowest is None and before.highest is None
    if step.kind == "norm" and before.kind in ("shift", "float") and unclamped and before.norm is None:
        return replace(before, norm=step.module, ends_at=step.ends_at)
    if step.kind == "clamp" and before.kind in _TAKES_CLAMP:
        lowest = max((x for x in (before.lowest, step.lowest) if x is not None), default=None)
        highest = min((x for x in (before.highest, step.highest) if x is not None), default=None)
        return replace(before, lowest=lowest, highest=highest, ends_at=step.ends_at)
    return None


def refuse_unreal(steps: list[Step]) -> None:
    """Raise `BadInput` where a bias, a norm or an unconverted layer has numbers that are none, or a norm has
    no standard deviation. Shift layers look at their weights themselves."""
    for step in steps:
        for module, place in ((step.module, ""), (step.norm, " of its batch norm")):
            for name in ("weight", "bias", "running_mean", "running_var"):
                tensor = getattr(module, name, None)
                if tensor is not None and not np.isfinite(_array(tensor)).all():
                    raise refusal(step.layer, f"the {name}{place} has NaN or infinite values", WHOLE)
            variance = getattr(module, "running_var", None)
            if variance is not None and (_array(variance) + float(cast(Any, module).eps) <= 0).any():
                raise refusal(step.layer, f"the running_var{place} is not positive", WHOLE)


def affine(norm: nn.Module) -> tuple[FloatArray, FloatArray]:
    """Factor and offset per channel of a batch norm in evaluation, float64."""
    mean, variance = (_array(getattr(norm, name)) for name in ("running_mean", "running_var"))
    factor = 1 / np.sqrt(variance + float(norm.eps))  # type: ignore[arg-type]
    offset = np.zeros_like(factor)
    if norm.weight is not None:
        factor, offset = factor * _array(norm.weight), _array(norm.bias)
    return factor, offset - mean * factor


def channel_affine(step: Step, channels: int) -> tuple[FloatArray, FloatArray]:
    """What happens to a layer's sums Σ w·x, bias and folded norm together: factor · sum + offset."""
    factor, offset = np.ones(channels), np.zeros(channels)
    if step.norm is not None:
        factor, offset = affine(step.norm)
    bias = getattr(step.module, "bias", None)
    return factor, offset if bias is None else offset + factor * _array(bias)


def _array(tensor: object) -> FloatArray:
    return tensor.detach().cpu().numpy().astype(np.float64)  # type: ignore[attr-defined]
