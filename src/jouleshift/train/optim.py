"""The seven optimizers of the paper's Table 1, and the learning rate as a function of the step.

Table 1 gives every optimizer a `momentum` in 0 … 0.9 and a `weight_decay`, without saying what they mean
where an optimizer has no such thing. (The authors' code passes momentum to SGD only.) Here they mean:

| optimizer | momentum | weight decay |
| --- | --- | --- |
| SGD | heavy ball (Sutskever et al., 2013) | L2: λw added to the gradient |
| Adam, RAdam, Ranger | β1, decay of the gradient's running mean | Adam: L2; RAdam, Ranger: decoupled |
| RMSProp | heavy ball on the scaled gradient | L2 |
| Adadelta | ρ, decay of both running means of squares | L2 |
| Adagrad | nothing: it has no momentum | L2 |

At Table 1's default, 0.9, each of these is the library's own default (Ranger's is 0.95). Decoupled decay
(w ← w − ηλw, Loshchilov & Hutter, 2019) is what RAdam's and Ranger's authors have in their implementations.

A module may name parameters of its own that decay must not touch in an attribute `undecayed`, a collection of
attribute names. A shift exponent is such a parameter: pulling it to 0 would pull its weight to ±1.

Learning rates are pure functions of the step over a *horizon*, the full budget, so that a trial stopped at a
lower budget is a prefix of the full run, and continuing it changes nothing.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from jouleshift.config import TrainConfig

_WARM_UP = 0.3
_START = 1 / 25
_END = 1e-4


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The configured optimizer over a model's trainable parameters."""
    return _OPTIMIZERS[config.optimizer](list(_groups(model, config.weight_decay)), config)


def learning_rate(config: TrainConfig, step: int, horizon: int) -> float:
    """The learning rate of step 0, 1, … of a run of `horizon` steps; after its end, the last one's.

    `cosine` falls from the configured rate to 0. `one-cycle` (Smith & Topin, 2019) rises from 1/25 of it to
    the full rate over the first 30 % of the steps and falls to nothing, both along a half cosine.
    """
    step = min(step, horizon - 1)
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "cosine":
        return config.learning_rate * _half_cosine(1.0, 0.0, step / horizon)
    peak = max(_WARM_UP * horizon - 1, 0.0)
    if step < peak:
        return config.learning_rate * _half_cosine(_START, 1.0, step / peak)
    falling = max(horizon - 1 - peak, 1.0)
    return config.learning_rate * _half_cosine(1.0, _START * _END, (step - peak) / falling)


def _half_cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _groups(model: nn.Module, weight_decay: float) -> Iterator[dict[str, Any]]:
    """Trainable parameters with and without weight decay; shared ones once."""
    exempt = {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if name in getattr(module, "undecayed", ())
    }
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for decay, group in (
        (weight_decay, [p for p in trainable if id(p) not in exempt]),
        (0.0, [p for p in trainable if id(p) in exempt]),
    ):
        if group:
            yield {"params": group, "weight_decay": decay}


Groups = list[dict[str, Any]]


def _sgd(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, config.learning_rate, momentum=config.momentum)


def _adam(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, config.learning_rate, betas=(config.momentum, 0.999))


def _adagrad(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(groups, config.learning_rate)


def _adadelta(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adadelta(groups, config.learning_rate, rho=config.momentum)


def _rmsprop(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, config.learning_rate, momentum=config.momentum)


def _radam(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    betas = (config.momentum, 0.999)
    return torch.optim.RAdam(groups, config.learning_rate, betas=betas, decoupled_weight_decay=True)


def _ranger(groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    from pytorch_optimizer import Ranger

    # Without degenerated_to_sgd pytorch_optimizer 4.1 steps *up* the gradient while too few steps are known
    # to rectify the variance (the first five); Ranger's author takes a plain momentum step there.
    return Ranger(groups, config.learning_rate, betas=(config.momentum, 0.999), degenerated_to_sgd=True)


_OPTIMIZERS: dict[str, Callable[[Groups, TrainConfig], torch.optim.Optimizer]] = {
    "SGD": _sgd,
    "Adam": _adam,
    "Adagrad": _adagrad,
    "Adadelta": _adadelta,
    "RMSProp": _rmsprop,
    "RAdam": _radam,
    "Ranger": _ranger,
}
