"""The values that travel through the one flow of data, from proposal to report.

    scheduler.ask() → Trial → evaluate → Evaluation | Failure → scheduler.tell(), journal → report

All are frozen, hold plain Python values only, and turn into JSON and back without loss, so the journal that
stores them is readable without this package. Physical quantities carry their unit in their name; everything
is minimised (`error = 1 − accuracy`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

_Record = TypeVar("_Record")

Value = int | float | str
"""The value of one hyperparameter."""

EnergySource = Literal["modelled", "deployed", "simulated"]
"""Where a number of joules comes from; numbers of different sources never share a front."""

EnergyKind = Literal["measured", "estimated", "modelled"]
"""A sensor was read; time × a stated power; or computed from a hardware profile."""

UNCOUNTED = "uncounted-operations"
"""The flag of a modelled energy that leaves out operations of the network, because they have no price."""

FailureKind = Literal["diverged", "out-of-memory", "timeout", "crashed", "refused"]


@dataclass(frozen=True)
class Trial:
    """One configuration at one budget: what a scheduler asks to have evaluated.

    `id` counts from 1 in the order of proposal. `config` maps a hyperparameter's name to its value. `budget`
    is in epochs, in total from the first one. `parent` is the id of the trial with the same configuration and
    seed at a lower budget, whose checkpoint this one may continue. `bracket` and `rung` say where in
    Hyperband it stands.
    """

    id: int
    config: Mapping[str, Value]
    budget: int
    seed: int
    bracket: int = 0
    rung: int = 0
    parent: int | None = None


@dataclass(frozen=True)
class Failure:
    """A trial that gave no result. Never accompanied by invented objective values."""

    kind: FailureKind
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class EnergyReading:
    """Energy of one inference of one image, and how it is known.

    `energy_j` is in joules per item, `interval_j` its 95 % interval. `components` splits it by cause in
    joules per item (the causes depend on the source). Missing is None, never 0.
    """

    energy_j: float | None
    source: EnergySource
    kind: EnergyKind
    origin: str
    """The sensor, stated power or hardware profile the number rests on, in words."""
    interval_j: tuple[float, float] | None = None
    components: Mapping[str, float] = field(default_factory=dict)
    idle_power_w: float | None = None
    flags: tuple[str, ...] = ()
    """Quality flags, e.g. "no-sensor", "short-window"."""
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Joules per item by layer and then by cause, where known; trials below the full budget do without."""


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve. Losses are mean cross-entropies in nats; `val_error` is in 0 … 1."""

    epoch: int
    train_loss: float
    val_loss: float
    val_error: float
    learning_rate: float
    duration_s: float


@dataclass(frozen=True)
class Evaluation:
    """A trial's result: `error` is on the validation split, of a verification on the test split."""

    error: float
    energy: EnergyReading
    curve: tuple[Epoch, ...]
    trained_epochs: int
    """Epochs this trial itself trained: the budget less what a checkpoint already had."""
    weight_bytes: int
    """Size of the weights as shipped: those of shift layers at weight_bits, others as float32; without biases
    and batch norms."""
    train_s: float
    energy_s: float
    latency_s: float | None = None
    """Time of one inference of one image: modelled with the energy, or measured with it in batches."""
    train_fraction: float = 1.0
    """Share of the training images that an epoch passed over."""

    @property
    def accuracy(self) -> float:
        return 1.0 - self.error

    @property
    def epoch_equivalents(self) -> float:
        """What the trial's training cost, in passes over the whole training set."""
        return self.trained_epochs * self.train_fraction

    @property
    def objectives(self) -> dict[str, float]:
        """What a scheduler is told. Raises ValueError where the energy is missing."""
        if self.energy.energy_j is None:
            raise ValueError(f"no energy from {self.energy.origin}")
        return self.values

    @property
    def values(self) -> dict[str, float]:
        """Every objective that is known, by its name in `jouleshift.objectives`."""
        known = {
            "error": self.error,
            "energy_j": self.energy.energy_j,
            "latency_s": self.latency_s,
            "size_bytes": float(self.weight_bytes),
        }
        return {name: value for name, value in known.items() if value is not None}


@dataclass(frozen=True)
class CarbonIntensity:
    """How much a kilowatt-hour emits somewhere, and who says so."""

    grams_per_kwh: float
    region: str
    year: int | None
    origin: str
    pue: float = 1.0
    """Power usage effectiveness: what the data centre draws for each joule of its computers."""

    def emissions_g(self, energy_j: float) -> float:
        """Grams of CO₂ equivalent of an energy in joules that computers use (1 kWh = 3.6e6 J)."""
        return energy_j / 3.6e6 * self.grams_per_kwh * self.pue

    @property
    def in_words(self) -> str:
        """The figure, its place, year and source, and the PUE where there is one.

        >>> CarbonIntensity(381.0, "DEU", 2024, "Ember", pue=1.2).in_words
        '381 g CO₂eq/kWh (DEU, 2024; Ember) × PUE 1.2'
        """
        return self._told(f"; {self.origin}")

    @property
    def in_short(self) -> str:
        """The same without the source, for a line in a terminal."""
        return self._told("")

    def _told(self, origin: str) -> str:
        place = ", ".join([self.region, *([str(self.year)] if self.year else [])])
        pue = "" if self.pue == 1 else f" × PUE {self.pue:g}"
        return f"{self.grams_per_kwh:.4g} g CO₂eq/kWh ({place}{origin}){pue}"


@dataclass(frozen=True)
class TrialRecord:
    """A trial as the journal has it: `result` is None while it runs, `duration_s` its wall time.

    `ended_s` is when its result was written, counted from the journal's first event, None where the journal's
    times are unknown.
    """

    trial: Trial
    result: Evaluation | Failure | None = None
    duration_s: float | None = None
    ended_s: float | None = field(default=None, compare=False)

    @property
    def values(self) -> dict[str, float]:
        """Every objective that is known of its result; none while there is none."""
        return self.result.values if isinstance(self.result, Evaluation) else {}

    @property
    def started_s(self) -> float | None:
        """When its evaluation began, on the clock of `ended_s`; its wait for a worker is before that."""
        if self.ended_s is None or self.duration_s is None:
            return None
        return round(self.ended_s - self.duration_s, 3)


@dataclass(frozen=True)
class Run:
    """A run directory as read from disk: enough for every analysis and report.

    `config` and `env` are the contents of config.yaml and env.json; `trials` is in the order of proposal.
    `verified` are configurations of the front trained again with fresh seeds, whose `error` is that on the
    test split.
    """

    path: Path
    config: Mapping[str, Any]
    env: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]
    verified: tuple[TrialRecord, ...] = ()


Outcome = Mapping[str, float] | Failure
"""What `Scheduler.tell` takes: a value per objective, or a failure."""


def to_json(record: Any) -> dict[str, Any]:
    """A record as nested plain dicts and lists."""
    return asdict(record)


def trial_from_json(data: Mapping[str, Any]) -> Trial:
    """The inverse of `to_json`. Raises TypeError for what is no trial of this version."""
    trial = checked(Trial(**data))
    _check_values(trial.config, {int, float, str})
    return trial


def result_from_json(data: Mapping[str, Any]) -> Evaluation | Failure:
    """The inverse of `to_json` for the two kinds of result. Raises TypeError, KeyError or ValueError for what
    is no result of this version."""
    if "kind" in data and "message" in data:
        return checked(Failure(**data))
    energy = dict(data["energy"])
    energy["flags"] = tuple(energy["flags"])
    if energy["interval_j"] is not None:
        low, high = energy["interval_j"]
        energy["interval_j"] = (low, high)
        _check_values({"low": low, "high": high}, {int, float})
    _check_values(energy["components"], {int, float})
    curve = tuple(checked(Epoch(**point)) for point in data["curve"])
    return checked(Evaluation(**{**data, "energy": checked(EnergyReading(**energy)), "curve": curve}))


_PLAIN: Mapping[Any, set[type]] = {
    int: {int},
    int | None: {int, type(None)},
    float: {int, float},
    float | None: {int, float, type(None)},
    str: {str},
    Mapping[str, Value]: {dict},
}
"""What JSON may hold where a field is of such a type."""


@cache
def _plain_fields(kind: Any) -> list[tuple[str, set[type]]]:
    return [(member.name, _PLAIN[member.type]) for member in fields(kind) if member.type in _PLAIN]


def checked(record: _Record) -> _Record:
    """A record that was read, once its fields hold what their types say: a number written as text would fail
    far from here, and in a comparison only."""
    kind: Any = type(record)
    for name, kinds in _plain_fields(kind):
        if type(getattr(record, name)) not in kinds:
            raise TypeError(f"{name}: {getattr(record, name)!r}")
    return record


def _check_values(values: Mapping[str, Any], kinds: set[type]) -> None:
    for name, value in values.items():
        if type(value) not in kinds:
            raise TypeError(f"{name}: {value!r}")
