"""What a search knows of a configuration before it trains one: objectives as functions of it.

| objective | known before training |
| --- | --- |
| `size_bytes` | always: number formats decide it |
| `energy_j` | where it is modelled |
| `latency_s` | where energy is modelled on a processor: cycles / clock |
| `error` | never |

The worker describes the float network in plain numbers, so none of this needs torch.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from jouleshift.config import StudyConfig
from jouleshift.energy.foreknown import ForeknownEnergy, ForeknownSize, restore
from jouleshift.energy.hardware import load_profile
from jouleshift.energy.profile import Profile
from jouleshift.errors import BadInput
from jouleshift.objectives import Goal
from jouleshift.records import Value

Known = Callable[[Mapping[str, Value]], float]


def known_objectives(study: StudyConfig, foreknown: Mapping[str, Any]) -> dict[str, Known]:
    """The objectives and constrained values of a study that need no training, by name."""
    depths, own = foreknown["depths"], foreknown["layers"]
    known: dict[str, Known] = {"size_bytes": ForeknownSize(foreknown["weights"], depths, own)}
    if study.energy == "modelled":
        profile = load_profile(study.profile)
        energy = ForeknownEnergy(restore(foreknown["workload"]), depths, profile, own)
        known["energy_j"] = energy
        known["latency_s"] = lambda config: profile.latency_s(energy(config)) or 0.0
    return {name: known[name] for name in Goal.of(study.model_dump()).needed if name in known}


def digest_of_prices(profile: Profile) -> str:
    """Tells two price lists apart: a checksum of what the profile states, whatever its file is called and
    however it is laid out."""
    stated = json.dumps(profile.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    return f"{zlib.crc32(stated.encode()):08x}"


def refuse_unknowable(study: StudyConfig) -> None:
    """Raise `BadInput` where a latency is asked for that the study's source of energy does not give."""
    if "latency_s" not in Goal.of(study.model_dump()).needed or study.energy == "deployed":
        return
    if study.energy == "simulated":
        raise BadInput("latency_s: simulated energy comes with no latency; use --energy deployed or modelled")
    if load_profile(study.profile).latency_s(0.0) is None:
        raise BadInput(
            f"latency_s: hardware profile {study.profile} has no clock and gives no latency; name one of a "
            "processor, such as --profile cortex-m4, or measure with --energy deployed"
        )
