"""What a user can set, validated once, frozen afterwards.

Three configurations, from the inside out: `ShiftConfig` is the number format of a shift layer, `TrainConfig`
how a network is trained, `StudyConfig` a whole search. Each field carries its meaning and range, which become
the command line's help and its error messages. Errors are `BadInput`: one line that names the field and, for
an unknown one, the nearest valid name.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from jouleshift.errors import BadInput
from jouleshift.fidelity import Fidelity
from jouleshift.layer_formats import formats_of, same_formats
from jouleshift.number_format import Config, NumericMode, Rounding, ShiftConfig, ShiftType
from jouleshift.objectives import USUAL, check_objectives, parse_constraint

__all__ = ["NumericMode", "Rounding", "ShiftConfig", "ShiftType", "StudyConfig", "TrainConfig"]

Schedule = Literal["constant", "cosine", "one-cycle"]
RecipeName = Literal["plain", "paper", "modern"]
Precision = Literal["float32", "bf16", "auto"]
OptimizerName = Literal["SGD", "Adam", "Adagrad", "Adadelta", "RMSProp", "RAdam", "Ranger"]


class TrainConfig(Config):
    """How one network is trained (the upper half of Table 1, and what the paper leaves open)."""

    batch_size: Annotated[int, Field(ge=1)] = 128
    optimizer: OptimizerName = "SGD"
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    schedule: Annotated[Schedule, Field(description="learning rate over max_budget epochs")] = "constant"
    augment: Annotated[bool, Field(description="random crop and horizontal flip")] = True
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


RESUMABLE = frozenset(
    [
        *("trials", "workers", "threads", "out", "region", "intensity", "pue"),
        *("trial_timeout_s", "trial_memory_mb"),
        *("stop_epochs", "stop_time_s", "stop_energy_j", "stop_stagnation"),
    ]
)
"""Settings that may differ when a run is continued: they change no finished trial."""


class StudyConfig(Config):
    """A whole search: data, network, budgets, objectives, scheduler."""

    data: Annotated[str, Field(description="digits, a folder of images or Parquet files")] = "digits"
    out: Annotated[Path | None, Field(description="run directory; default runs/DATA-MODEL")] = None
    model: Annotated[str, Field(description="network to convert")] = "resnet20"
    trials: Annotated[
        int, Field(ge=1, description="trials in all, finished ones of a continued run included")
    ] = 60
    seed: Annotated[int, Field(ge=0, lt=2**31, description="seed of data split, proposals and training")] = 0
    min_budget: Annotated[int, Field(ge=1, description="smallest budget of a trial, in epochs")] = 1
    max_budget: Annotated[int, Field(ge=1, description="full budget of a trial, in epochs")] = 9
    eta: Annotated[int, Field(ge=2, description="Hyperband keeps one in eta trials")] = 3
    fidelity: Annotated[
        str,
        Field(
            description="what a low budget saves: epochs, train_fraction, weight_bits, or several joined by +"
        ),
    ] = "epochs"
    limit_train: Annotated[int | None, Field(ge=1, description="use only so many training images")] = None
    limit_val: Annotated[int | None, Field(ge=1, description="use only so many validation images")] = None
    val_fraction: Annotated[float, Field(gt=0, lt=1, description="share of training images held out")] = 0.2
    image_size: Annotated[int | None, Field(ge=4, le=1024, description="pixels; default: the data's own")] = (
        None
    )
    on_corrupt: Annotated[
        Literal["refuse", "skip"], Field(description="what to do with unreadable images")
    ] = "refuse"
    mode: Annotated[NumericMode, Field(description="numerics; 'reference' has DeepShift's semantics")] = (
        "default"
    )
    recipe: Annotated[
        RecipeName,
        Field(
            description="how to train: plain; paper, with its regularisation of shifts; or modern: one-cycle "
            "rate, label smoothing, bits reduced step by step, batch norm re-estimated"
        ),
    ] = "plain"
    schedule: Annotated[
        Schedule | None,
        Field(description="learning rate over the full budget; default: the recipe's, else constant"),
    ] = None
    distil: Annotated[
        bool, Field(description="train the float network first and let every trial learn from it too")
    ] = False
    precision: Annotated[
        Precision | None,
        Field(
            description="of training; auto is bf16 where it is native; default: auto if modern, else float32"
        ),
    ] = None
    compile: Annotated[bool, Field(description="torch.compile the network for training")] = False
    augment: Annotated[bool, Field(description="random crop and horizontal flip")] = True
    energy: Annotated[
        Literal["auto", "modelled", "deployed", "simulated"],
        Field(description="source of the energy objective; auto is deployed with a sensor, else modelled"),
    ] = "auto"
    power_w: Annotated[
        float | None, Field(gt=0, description="watts of this machine at work, where no sensor tells")
    ] = None
    profile: Annotated[
        str, Field(description="hardware profile of modelled energy: a name or a YAML file")
    ] = "asic-45nm"
    objectives: Annotated[
        tuple[str, ...],
        Field(description="what is minimised, two or more of error, energy_j, latency_s, size_bytes"),
    ] = USUAL
    constraint: Annotated[
        tuple[str, ...],
        Field(description='limits on what may be on the front, e.g. "error <= 0.1", "size <= 64 kB"'),
    ] = ()
    region: Annotated[
        str, Field(description="where energy is drawn, for emissions: DEU, US-CA, CA-QC, SE1, 'world', 120g")
    ] = "world"
    intensity: Annotated[
        float | str | None,
        Field(union_mode="left_to_right", description="own g CO₂eq/kWh, or a CSV of time, g_per_kwh"),
    ] = None
    pue: Annotated[
        float, Field(ge=1, description="what a data centre draws for each joule of its computers")
    ] = 1.0
    scheduler: Annotated[str, Field(description="proposes configurations and budgets")] = "mo-hyperband"
    acquisition: Annotated[
        str, Field(description="what mo-hyperband takes a candidate's worth for: ehvi or parego")
    ] = "ehvi"
    prior: Annotated[
        str | None,
        Field(description="configurations to try first: a CSV or YAML file, or paper: its published fronts"),
    ] = None
    workers: Annotated[
        int | str,
        Field(
            description="trials trained at a time on this machine, the address of a Dask scheduler "
            "(tcp://host:8786), or a YAML file that describes a cluster"
        ),
    ] = 1
    threads: Annotated[
        int | None, Field(ge=1, description="CPU threads a worker; default: cores / workers")
    ] = None
    measure_on: Annotated[
        str | None, Field(description="Dask resource of the workers that measure energy; the others train")
    ] = None
    device: Annotated[str, Field(description="auto, cpu, cuda or mps")] = "auto"
    trial_timeout_s: Annotated[float | None, Field(gt=0, description="a longer trial fails")] = None
    trial_memory_mb: Annotated[int | None, Field(ge=64, description="a trial that takes more fails")] = None
    stop_epochs: Annotated[int | None, Field(ge=1, description="start no trial after so many epochs")] = None
    stop_time_s: Annotated[
        float | None, Field(gt=0, description="start no trial after so many seconds of searching")
    ] = None
    stop_energy_j: Annotated[
        float | None, Field(gt=0, description="start no trial after so many joules of this machine")
    ] = None
    stop_stagnation: Annotated[
        int | None,
        Field(
            ge=1, description="stop when so many trials of the full budget enlarge the front by less than 1 %"
        ),
    ] = None
    space: Annotated[
        Mapping[str, Any],
        Field(description="hyperparameters narrowed or fixed, e.g. {weight_bits: [2, 4], optimizer: SGD}"),
    ] = Field(default_factory=dict)
    layers: Annotated[
        Mapping[str, Any],
        Field(
            description="formats of single layers, e.g. {first: 8, last: float, layer3.*: {weight_bits: 3, "
            "kind: Q}}: weight bits, float, or fields of ShiftConfig"
        ),
    ] = Field(default_factory=dict)

    @field_validator("layers", mode="before")
    @classmethod
    def _layer_formats(cls, value: Any) -> Any:
        return formats_of(value)

    @field_validator("space", mode="before")
    @classmethod
    def _space_from_a_flag(cls, value: Any) -> Any:
        """A flag gives the mapping as YAML text."""
        from jouleshift.handwritten import parse_yaml

        return parse_yaml(value, "space") if isinstance(value, str) else value

    @field_validator("objectives", "constraint", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("objectives")
    @classmethod
    def _known_objectives(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_objectives(value)

    @field_validator("constraint")
    @classmethod
    def _readable_constraints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse_constraint(text).text for text in value)

    @field_validator("workers")
    @classmethod
    def _workers_somewhere(cls, value: int | str) -> int | str:
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        place = isinstance(value, str) and ("://" in value or value.endswith((".yaml", ".yml")))
        known = place or (isinstance(value, int) and value >= 1)
        if not known:
            raise ValueError("expected a number from 1 on, tcp://host:port, or a cluster's YAML file")
        return value

    @classmethod
    def layered(cls, *layers: Mapping[str, Any]) -> Self:
        """The configuration in which each layer of settings overrides the ones before it."""
        merged: dict[str, Any] = {}
        for layer in layers:
            merged.update(layer)
        config = cls(**merged)
        if config.min_budget > config.max_budget:
            raise BadInput(f"min_budget {config.min_budget} is above max_budget {config.max_budget}")
        Fidelity.named(config.fidelity, config.min_budget, config.max_budget)
        return config

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """What a YAML file states. Raises `BadInput` that names the file and the setting."""
        from jouleshift.handwritten import load_mapping

        stated = load_mapping(path)
        try:
            return cls(**stated)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None

    def given(self) -> dict[str, Any]:
        """Only the settings that were stated, as a layer for `layered`."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def differences(self, other: "StudyConfig") -> list[str]:
        """The settings that forbid continuing a run of `other`, as "name: theirs → ours"."""
        ours, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [
            f"{name}: {theirs[name]!r} → {ours[name]!r}"
            for name in ours
            if name not in RESUMABLE and not same_setting(name, ours[name], theirs[name])
        ]


def same_setting(name: str, one: Any, other: Any) -> bool:
    """Whether two values of a setting mean the same, however they are written."""
    if name == "layers":
        return same_formats(one, other)
    meaning = _MEANINGS.get(name)
    return bool(one == other or (meaning is not None and meaning(one) == meaning(other)))


def absolute_profile(profile: str) -> str:
    """A hardware profile's name as it is, that of a YAML file as an absolute path."""
    path = Path(profile).expanduser()
    return str(path.resolve()) if path.suffix in (".yaml", ".yml") else profile


_MEANINGS: Mapping[str, Callable[[Any], Any]] = {
    "constraint": lambda texts: [parse_constraint(text) for text in texts],
    "fidelity": lambda text: Fidelity.named(text, 1, 1).parts,
    "profile": absolute_profile,
}
"""What a setting says, for those that can be written in several ways."""
