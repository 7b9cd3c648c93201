"""Runs made up for tests: shaped like Hyperband's, with dominated, lower-budget and failed trials."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jouleshift.records import EnergyReading, Epoch, Evaluation, Failure, Run, Trial, TrialRecord, Value

DEFAULT: dict[str, Value] = {
    "batch_size": 128,
    "optimizer": "SGD",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "weight_bits": 5,
    "act_integer_bits": 16,
    "act_fraction_bits": 16,
    "shift_depth": 20,
    "shift_type": "PS",
    "rounding": "deterministic",
}
OPTIMIZERS = ("SGD", "Adam", "Adagrad", "Adadelta", "RMSProp", "RAdam", "Ranger")
ORIGIN = "profile asic-45nm (Horowitz, ISSCC 2014)"


def evaluation(error: float, energy_j: float | None, budget: int = 9, **energy: Any) -> Evaluation:
    """A result with a plausible learning curve that ends at `error`."""
    curve = tuple(
        Epoch(
            epoch=e,
            train_loss=2.3 * 0.8**e,
            val_loss=2.3 * 0.85**e,
            val_error=error + (0.9 - error) * (1 - e / budget) ** 2,
            learning_rate=0.1,
            duration_s=0.5,
        )
        for e in range(1, budget + 1)
    )
    components = (
        {} if energy_j is None else {"shift": energy_j * 0.2, "add": energy_j * 0.3, "memory": energy_j * 0.5}
    )
    reading = EnergyReading(
        **{"energy_j": energy_j, "source": "modelled", "kind": "modelled", "origin": ORIGIN,
           "components": components, **energy}
    )  # fmt: skip
    return Evaluation(error, reading, curve, budget, 50_000, train_s=0.5 * budget, energy_s=0.01)


def record(
    number: int,
    error: float | None = None,
    energy_j: float | None = None,
    *,
    budget: int = 9,
    bracket: int = 0,
    failure: Failure | None = None,
    config: dict[str, Value] | None = None,
    **trial: Any,
) -> TrialRecord:
    """A trial with the given objectives, a failure, or (with neither) still running."""
    result = failure or (None if error is None else evaluation(error, energy_j, budget))
    made = Trial(
        id=number, config={**DEFAULT, **(config or {})}, budget=budget, seed=0, bracket=bracket, **trial
    )
    return TrialRecord(made, result, None if result is None else 5.0)


def sized(number: int, error: float, size_bytes: int, energy_j: float | None, **trial: Any) -> TrialRecord:
    """A trial whose weights take so many bytes."""
    made = record(number, error, energy_j, **{"config": {"batch_size": 32 + number}, **trial})
    assert isinstance(made.result, Evaluation)
    return replace(made, result=replace(made.result, weight_bytes=size_bytes))


def run_of(*records: TrialRecord, path: Path = Path("runs/made-up"), **config: Any) -> Run:
    """A run of these trials with a full budget of 9 epochs."""
    settings = {"data": "digits", "model": "tiny", "trials": 60, "max_budget": 9, "seed": 0, **config}
    env = {"versions": {"python": "3.11.2", "torch": "2.14.0", "jouleshift": "0.1.0"}, "cpu": "made-up CPU"}
    return Run(path, settings, env, records)


def sample_config(rng: np.random.Generator) -> dict[str, Value]:
    return {
        "batch_size": int(rng.integers(32, 129)),
        "optimizer": str(rng.choice(OPTIMIZERS)),
        "learning_rate": float(10 ** rng.uniform(-3, -1)),
        "momentum": float(rng.uniform(0, 0.9)),
        "weight_decay": float(10 ** rng.uniform(-6, -2)),
        "weight_bits": int(rng.integers(2, 9)),
        "act_integer_bits": int(rng.integers(2, 33)),
        "act_fraction_bits": int(rng.integers(2, 33)),
        "shift_depth": int(rng.integers(0, 21)),
        "shift_type": str(rng.choice(["Q", "PS"])),
        "rounding": str(rng.choice(["deterministic", "stochastic"])),
    }


def objectives_of(config: dict[str, Value], budget: int, rng: np.random.Generator) -> tuple[float, float]:
    """Error and joules in the way that facts about shift networks suggest."""
    bits = float(config["weight_bits"])
    depth = float(config["shift_depth"]) / 20
    rate = (np.log10(float(config["learning_rate"])) + 1.7) ** 2
    error = 0.08 + 0.25 * depth * (8 - bits) / 6 + 0.12 * rate + 0.5 / (1 + budget) + rng.normal(0, 0.01)
    activations = float(config["act_integer_bits"]) + float(config["act_fraction_bits"])
    energy_j = 2e-6 * (1.2 - depth * (1 - bits / 12)) * (0.3 + activations / 40)
    return float(np.clip(error, 0.02, 0.95)), energy_j


def hyperband_run(
    trials: int = 60, seed: int = 0, path: Path = Path("runs/digits-tiny"), **config: Any
) -> Run:
    """A run of so many trials: the default first, then rungs of 1, 3 and 9 epochs, some failed."""
    rng = np.random.default_rng(seed)
    default = record(1, 0.35, 1.6e-6, bracket=-1)
    records = [default]
    waiting: list[list[TrialRecord]] = [[], []]
    while len(records) < trials:
        rung = next((r for r in (2, 1) if len(waiting[r - 1]) >= 3), 0)
        parent = None
        if rung:
            batch = waiting[rung - 1]
            parent = min(batch, key=lambda r: r.result.error if isinstance(r.result, Evaluation) else 1.0)
            batch.clear()
        chosen = dict(parent.trial.config) if parent else sample_config(rng)
        budget = 3**rung * 1
        error, energy_j = objectives_of(chosen, budget, rng)
        number = len(records) + 1
        failure = Failure("diverged", "loss is NaN in epoch 1") if not rung and rng.random() < 0.05 else None
        made = record(
            number,
            error,
            energy_j,
            budget=budget,
            rung=rung,
            failure=failure,
            config=chosen,
            parent=parent.trial.id if parent else None,
        )
        records.append(made)
        if rung < 2 and failure is None:
            waiting[rung].append(made)
    return run_of(*records, path=path, **{"trials": trials, "seed": seed, **config})
