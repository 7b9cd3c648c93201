"""Multi-fidelity, multi-objective problems whose fronts are known or can be computed densely.

Each problem has budgets 1 … 27 (as if epochs), objectives to minimise, a reference point for the
hypervolume, and, where an objective is a function of the configuration alone, that function. At a low
budget s = budget / 27 an evaluation is biased, as a short training is; the functions at full budget are the
standard ones (Surjanovic and Bingham's library, scaled to about 0 … 1), the biases are in the manner of
Kandasamy et al. (2017).

- `branin-currin` (2 numbers), `park` (4): both objectives have to be learned.
- `hartmann-cost` (6): Hartmann's function against a known cost.
- `digits`, `cifar10` (11, mixed): surrogates of real trainings (`recorded.py`), energy known.
- `table1` (11, mixed): shaped like the paper's Table 1. Error has learning curves whose speed and end
  depend on optimizer, learning rate and precision, and noise; energy is known.
"""

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from ConfigSpace import ConfigurationSpace, Float

from benchmarks.search.recorded import CIFAR10, DIGITS, Recorded
from benchmarks.search.table import DEPTH
from jouleshift.records import Value
from jouleshift.space import build_space

MAX_BUDGET = 27
Config = Mapping[str, Value]


@dataclass(frozen=True)
class Benchmark:
    """`evaluate(config, budget, seed)` gives a value per objective; `reference` bounds the hypervolume."""

    name: str
    space: Callable[[], ConfigurationSpace]
    objectives: tuple[str, ...]
    reference: tuple[float, ...]
    evaluate: Callable[[Config, int, int], dict[str, float]]
    known: Mapping[str, Callable[[Config], float]] = field(default_factory=dict)


def _unit_space(d: int) -> Callable[[], ConfigurationSpace]:
    def make() -> ConfigurationSpace:
        space = ConfigurationSpace()
        space.add(*(Float(f"x{i}", (0.0, 1.0), default=0.5) for i in range(d)))
        return space

    return make


def _x(config: Config) -> list[float]:
    return [float(config[f"x{i}"]) for i in range(len(config))]


def _noise(config: Config, budget: int, seed: int) -> float:
    """A standard normal number that is always the same for the same trial."""
    text = repr((sorted(config.items()), budget, seed)).encode()
    return float(np.random.default_rng(zlib.crc32(text)).standard_normal())


def branin_currin(config: Config, budget: int, seed: int) -> dict[str, float]:
    x0, x1 = _x(config)
    lack = 1 - budget / MAX_BUDGET
    u, v = 15 * x0 - 5, 15 * x1
    b = 5.1 / (4 * math.pi**2) - 0.01 * lack
    c = 5 / math.pi - 0.1 * lack
    t = 1 / (8 * math.pi) + 0.05 * lack
    branin = (v - b * u * u + c * u - 6) ** 2 + 10 * (1 - t) * math.cos(u) + 10
    factor = 1 - (1 - 0.3 * lack) * (math.exp(-1 / (2 * x1)) if x1 > 1e-9 else 0.0)
    currin = (
        factor * (2300 * x0**3 + 1900 * x0**2 + 2092 * x0 + 60) / (100 * x0**3 + 500 * x0**2 + 4 * x0 + 20)
    )
    return {"branin": branin / 60, "currin": currin / 14}


def park(config: Config, budget: int, seed: int) -> dict[str, float]:
    x1, x2, x3, x4 = _x(config)
    lack = 1 - budget / MAX_BUDGET
    x1 = max(x1, 1e-3)
    first = x1 / 2 * (math.sqrt(1 + (x2 + x3**2) * x4 / x1**2) - 1) + (x1 + 3 * x4) * math.exp(
        1 + math.sin(x3)
    )
    second = 2 / 3 * math.exp(x1 + x2) - x4 * math.sin(x3) + x3
    first *= 1 + 0.1 * lack * math.sin(10 * x1)
    second = (second + 0.5 * lack * math.cos(8 * x2)) * (1 + 0.1 * lack)
    return {"park1": 1 - first / 25.5893, "park2": second / 5.9265}


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def _cost(config: Config) -> float:
    """Cheap near the corner opposite to Hartmann's minimum."""
    x = np.array(_x(config))
    return float(np.clip(0.1 + 0.9 * np.mean(x * np.array([1.2, 0.8, 1.4, 0.6, 1.0, 1.0])), 0, 1))


def hartmann_cost(config: Config, budget: int, seed: int) -> dict[str, float]:
    x = np.array(_x(config))
    weights = _ALPHA - 0.3 * (1 - budget / MAX_BUDGET) * np.array([1.0, -1.0, 1.0, 1.0])
    value = float(weights @ np.exp(-np.sum(_A * (x - _P) ** 2, axis=1)))
    return {"error": 1 - value / 3.5, "cost": _cost(config)}


_BEST_RATE = {
    "SGD": 0.06,
    "Adam": 0.003,
    "Adagrad": 0.03,
    "Adadelta": 0.09,
    "RMSProp": 0.0015,
    "RAdam": 0.006,
    "Ranger": 0.012,
}
_END = {
    "SGD": 0.0,
    "Adam": 0.01,
    "Adagrad": 0.04,
    "Adadelta": 0.02,
    "RMSProp": 0.03,
    "RAdam": 0.0,
    "Ranger": -0.01,
}
_SPEED = {
    "SGD": 0.5,
    "Adam": 1.3,
    "Adagrad": 0.8,
    "Adadelta": 0.5,
    "RMSProp": 1.0,
    "RAdam": 0.9,
    "Ranger": 1.0,
}


def _energy(config: Config) -> float:
    """Share of a float network's energy: converted layers cost by their bits, the others all of it."""
    depth = float(config["shift_depth"]) / 20
    weight, activation = float(config["weight_bits"]), _activation_bits(config)
    shifted = 0.04 + 0.02 * weight / 8 + 0.5 * (activation / 64) * (0.5 + 0.5 * weight / 8)
    return (1 - depth) + depth * shifted


def _activation_bits(config: Config) -> float:
    return float(config["activation_integer_bits"]) + float(config["activation_fraction_bits"])


def table1(config: Config, budget: int, seed: int) -> dict[str, float]:
    optimizer = str(config["optimizer"])
    distance = math.log10(float(config["learning_rate"]) / _BEST_RATE[optimizer])
    depth = float(config["shift_depth"]) / 20
    weights = (
        0.35
        * 2.0 ** (-(float(config["weight_bits"]) - 2) * 0.9)
        * (1.3 if config["shift_type"] == "PS" else 1.0)
    )
    integer = 0.25 * max(0.0, 4 - float(config["activation_integer_bits"]))
    fraction = 0.4 * 2.0 ** (-(float(config["activation_fraction_bits"]) - 2) * 0.6)
    precision = depth**1.5 * (weights + integer + fraction)
    precision *= 0.9 if config["rounding"] == "stochastic" and float(config["weight_bits"]) <= 3 else 1.0
    decay = 0.02 * (math.log10(float(config["weight_decay"])) + 3.5) ** 2 / 4
    momentum = 0.06 * (float(config["momentum"]) - 0.85) ** 2 if optimizer in ("SGD", "RMSProp") else 0.0
    end = 0.07 + _END[optimizer] + 0.2 * distance**2 + precision * 0.5 + decay + momentum
    end += 0.5 if distance > 0.9 else 0.0  # diverges
    speed = _SPEED[optimizer] * 10 ** (0.5 * distance) * (128 / float(config["batch_size"])) ** 0.4
    speed /= 1 + 2 * precision
    end = min(end, 0.9)
    error = end + (0.9 - end) * math.exp(-((0.35 * speed * budget) ** 0.6))
    error += 0.008 * _noise(config, budget, seed)
    return {"error": min(max(error, 0.0), 1.0), "energy_j": _energy(config)}


def _recorded(problem: Recorded, worst_error: float) -> Benchmark:
    return Benchmark(
        problem.name,
        lambda: build_space(DEPTH),
        ("error", "energy_j"),
        (worst_error, 1.0),
        problem.evaluate,
        {"energy_j": problem.energy},
    )


PROBLEMS = {
    problem.name: problem
    for problem in (
        Benchmark("branin-currin", _unit_space(2), ("branin", "currin"), (0.4, 0.8), branin_currin),
        Benchmark("park", _unit_space(4), ("park1", "park2"), (0.8, 0.7), park),
        Benchmark(
            "hartmann-cost", _unit_space(6), ("error", "cost"), (0.9, 0.6), hartmann_cost, {"cost": _cost}
        ),
        Benchmark(
            "table1",
            lambda: build_space(20),
            ("error", "energy_j"),
            (0.5, 0.8),
            table1,
            {"energy_j": _energy},
        ),
        _recorded(DIGITS, worst_error=0.5),
        _recorded(CIFAR10, worst_error=0.8),
    )
}
