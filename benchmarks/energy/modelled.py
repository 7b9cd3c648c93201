"""Modelled energy of a network on each hardware profile, as the tables of docs/energy.md.

    python benchmarks/energy/modelled.py

Deterministic and done in seconds: nothing is trained or measured.
"""

from collections.abc import Iterator

import torch

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.energy.hardware import load_profile, model_energy, profile_names
from jouleshift.energy.work import Workload
from jouleshift.energy.workload import trace
from jouleshift.models.registry import create

IMAGE = torch.zeros(1, 3, 32, 32)
EIGHT_BITS = {"act_integer_bits": 3, "act_fraction_bits": 5}


def shifted(**settings) -> Workload:
    """ResNet20 for CIFAR-10 with the shift configuration `settings`."""
    return trace(convert(create("resnet20", 10), ShiftConfig(**settings)), IMAGE)


def microjoules(workload: Workload, profile: str) -> float:
    return model_energy(workload, load_profile(profile)).energy_j * 1e6


def markdown(head: list[str], rows: Iterator[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def figure(value: float) -> str:
    """Three significant digits, with a comma at thousands; what is below a thousandth is 0."""
    if value < 1e-3:
        return "0"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 1000 else f"{rounded:g}"


def targets() -> str:
    """µJ per image of formats on every target."""
    plain = trace(create("resnet20", 10), IMAGE)
    rows = {"float32": plain, "int8": plain.as_integer(8)}
    for bits in (2, 3, 4, 5, 8):
        rows[f"shift, PS {bits} bits, activations 3+5"] = shifted(weight_bits=bits, **EIGHT_BITS)
    rows["shift, the paper's default (PS 5 bits, 16+16)"] = shifted()
    names = profile_names()
    return markdown(
        ["ResNet20", *names],
        ([label, *(figure(microjoules(w, name)) for name in names)] for label, w in rows.items()),
    )


def depths() -> str:
    """µJ per image against shift depth."""
    settings = {
        "4 bits, 3+5": {"weight_bits": 4, **EIGHT_BITS},
        "5 bits, 16+16": {},
        "8 bits, 32+32": {"weight_bits": 8, "act_integer_bits": 32, "act_fraction_bits": 32},
    }
    steps = [0, 1, 2, 5, 10, 15, 19, 20]
    return markdown(
        ["shift depth", *map(str, steps)],
        (
            [label, *(figure(microjoules(shifted(depth=step, **kw), "asic-45nm")) for step in steps)]
            for label, kw in settings.items()
        ),
    )


def causes() -> str:
    """µJ per image by cause on the default target."""
    plain = trace(create("resnet20", 10), IMAGE)
    rows = {
        "float32": plain,
        "int8": plain.as_integer(8),
        "shift, 4 bits": shifted(weight_bits=4, **EIGHT_BITS),
    }
    parts = {label: model_energy(w, load_profile("asic-45nm")).causes_j for label, w in rows.items()}
    names = list(next(iter(parts.values())))
    return markdown(
        ["asic-45nm", *(name.replace("_", " ") for name in names)],
        ([label, *(figure(by[name] * 1e6) for name in names)] for label, by in parts.items()),
    )


TABLES = {"targets": targets, "causes": causes, "depths": depths}

if __name__ == "__main__":
    for name, table in TABLES.items():
        print(f"<!-- {name} -->\n{table()}\n")
