"""Joules of a workload on a hardware profile: energy by layer and by cause, known before training.

A profile (`profile.py`) says what a shift, an addition, a multiplication and a bit from memory cost.
`model_energy` multiplies it with the work of each layer (`work.LayerWork`):

    shift layer    macs × (shift of an activation + addition at the accumulator's width)
    integer layer  macs × (multiplication + addition at the accumulator's width)
    float layer    macs × (float multiplication + float addition)
    requantising   per output: one addition (bias, rounding) at the accumulator's width, and one
                   multiplication where a batch norm left a multiplier; one float addition where a format
                   changes or a float layer has a bias
    memory         weights and activations, at their bits, as often as the kind of target fetches them

A model of operations alone would not see the weight bits, and would flatter shifts: an 8-bit multiplication
costs 0.2 pJ against 0.024 pJ for a shift, but the addition behind either costs about as much again, and
memory comes on top.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from jouleshift.energy.circuit import CircuitProfile
from jouleshift.energy.processor import ProcessorProfile
from jouleshift.energy.profile import MacCost, Profile
from jouleshift.energy.work import FLOAT_BITS, WEIGHTED, LayerWork, Workload
from jouleshift.errors import BadInput, nearest
from jouleshift.handwritten import load_mapping
from jouleshift.records import UNCOUNTED, EnergyReading

Cause = Literal["shifts", "adds", "multiplications", "weight_memory", "activation_memory", "requantisation"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

MULTIPLIED = "shifts-multiplied"
"""Flag of a target that runs shift layers with multiplications, because they are cheaper there."""

_JOULES_PER_PICOJOULE = 1e-12


@dataclass(frozen=True)
class EnergyBreakdown:
    """Energy of one inference of one image, in joules, by layer and by cause.

    `layers_j` maps a layer's name to joules by cause, in order of execution; every layer has every cause.
    """

    profile: str
    layers_j: Mapping[str, Mapping[Cause, float]]
    flags: tuple[str, ...] = ()

    @cached_property
    def causes_j(self) -> dict[Cause, float]:
        return {cause: sum(layer[cause] for layer in self.layers_j.values()) for cause in CAUSES}

    @property
    def energy_j(self) -> float:
        return sum(self.causes_j.values())

    def reading(self) -> EnergyReading:
        """The total as the record that travels with a trial."""
        return EnergyReading(
            energy_j=self.energy_j,
            source="modelled",
            kind="modelled",
            origin=f"hardware profile {self.profile}",
            components={str(cause): joules for cause, joules in self.causes_j.items()},
            flags=self.flags,
            layers={
                layer: {str(cause): float(f"{joules:.4g}") for cause, joules in causes.items() if joules}
                for layer, causes in self.layers_j.items()
            },
        )


def profile_names() -> list[str]:
    """Names of the profiles that come with the package."""
    entries = (Path(entry.name) for entry in _profiles().iterdir())
    return sorted(entry.stem for entry in entries if entry.suffix == ".yaml")


def load_profile(name_or_path: str | Path) -> Profile:
    """A profile by name, or from a YAML file.

    Raises BadInput for an unknown name, an unreadable file, and a field that is missing, unknown or wrong.
    """
    text = str(name_or_path)
    if text in profile_names():
        with as_file(_profiles() / f"{text}.yaml") as path:
            return _parse(load_mapping(path), text)
    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        return _parse(load_mapping(path), text)
    raise BadInput(f"unknown hardware profile {text!r}{nearest(text, profile_names())}; or give a .yaml file")


@dataclass(frozen=True)
class LayerCost:
    """What a layer costs wherever it runs, in picojoules; memory, whose price depends on the whole network,
    comes on top."""

    layer: LayerWork
    """As the target runs it."""
    operations_pj: Mapping[Cause, float]
    held_bits: int
    """Of its weights as stored."""
    multiplied: bool


def layer_cost(traced: LayerWork, profile: Profile) -> LayerCost:
    layer = profile.as_run(traced)
    operations_pj = _operations_pj(layer, profile)
    operations_pj["requantisation"] = _requantisation_pj(layer, profile)
    return LayerCost(layer, operations_pj, traced.held_bits, layer.arithmetic != traced.arithmetic)


def model_energy(workload: Workload, profile: Profile) -> EnergyBreakdown:
    """Joules of one inference of `workload` on `profile`, by layer and by cause."""
    costs = [layer_cost(layer, profile) for layer in workload.layers]
    return with_memory(costs, profile, workload.live_bits, bool(workload.uncounted))


def with_memory(
    costs: Sequence[LayerCost], profile: Profile, live_bits: int, uncounted: bool
) -> EnergyBreakdown:
    """The energy of a network of such layers, of whose activations at most `live_bits` are held at a time."""
    layers: dict[str, dict[Cause, float]] = {}
    held_bits = sum(cost.held_bits for cost in costs)
    for cost in costs:
        layer = cost.layer
        total = layers.setdefault(layer.name, dict.fromkeys(CAUSES, 0.0))  # a module called twice adds up
        for cause, picojoules in cost.operations_pj.items():
            total[cause] += picojoules * _JOULES_PER_PICOJOULE
        total["weight_memory"] += profile.weight_memory_pj(layer, held_bits) * _JOULES_PER_PICOJOULE
        total["activation_memory"] += profile.activation_memory_pj(layer, live_bits) * _JOULES_PER_PICOJOULE
    flags = {UNCOUNTED} if uncounted else set[str]()
    if any(cost.multiplied for cost in costs):
        flags.add(MULTIPLIED)
    return EnergyBreakdown(profile.name, layers, tuple(sorted(flags)))


def _profiles() -> Traversable:
    return files("jouleshift.energy") / "profiles"


def _operations_pj(layer: LayerWork, profile: Profile) -> dict[Cause, float]:
    """Picojoules of a layer's shifts, additions and multiplications."""
    floating, bits = layer.arithmetic == "float", layer.activation_bits
    mac = profile.mac_pj(layer) if layer.macs else MacCost(0.0, 0.0, 0.0)
    return {
        "shifts": layer.macs * mac.shift,
        "adds": layer.macs * mac.add + layer.adds * profile.add_pj(layer.accumulator_bits, floating),
        "multiplications": layer.macs * mac.multiply
        + layer.multiplies * profile.multiply_pj(bits, bits, floating),
    }


def _requantisation_pj(layer: LayerWork, profile: Profile) -> float:
    """Picojoules of turning a layer's sums into its output: bias, folded batch norm, change of format."""
    float_add = profile.add_pj(FLOAT_BITS, floating=True)
    converted = (layer.arithmetic == "float") != layer.stored_float
    if layer.arithmetic == "float" or layer.kind not in WEIGHTED:
        bias = layer.kind in WEIGHTED and layer.constant_words > 0
        return layer.output_elements * float_add * (bias + converted)
    each = profile.add_pj(layer.accumulator_bits, floating=False)
    if layer.scaled:
        each += profile.multiply_pj(layer.accumulator_bits, profile.requantisation_bits, floating=False)
    if converted:
        each += float_add
    return layer.output_elements * each


def _parse(data: dict[str, Any], origin: str) -> Profile:
    """A profile from what its YAML file says. Raises BadInput with the first field that is wrong."""
    kinds: dict[str, type[Profile]] = {"circuit": CircuitProfile, "processor": ProcessorProfile}
    kind = kinds.get(str(data.get("kind")))
    where = f"hardware profile {origin}"
    if kind is None:
        raise BadInput(f"{where}: kind {data.get('kind')!r} must be one of {', '.join(kinds)}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        raise BadInput(f"{where}: unknown field {name!r}{nearest(name, kind.model_fields)}")
    if first["type"] == "missing":
        raise BadInput(f"{where}: {name} is missing")
    message = first["msg"].removeprefix("Value error, ")
    raise BadInput(f"{where}: {name}: {message}" if name else f"{where}: {message}")
