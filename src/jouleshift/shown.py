"""What the commands of deployment print."""

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text
from torch import nn

from jouleshift.config import NumericMode
from jouleshift.conversion import LayerPlan, weight_bytes
from jouleshift.deploy.lower import obstacle
from jouleshift.deploy.measured import Latency
from jouleshift.exporting import Exported
from jouleshift.measuring import Measured
from jouleshift.models.fit import WrongImages, refuse_misfit
from jouleshift.records import CarbonIntensity
from jouleshift.report.units import percent, quantity, significant
from jouleshift.words import count


def exported_in_words(exported: Exported) -> Iterator[str]:
    """What was written, and what it is worth."""
    trial = exported.record.trial
    share = exported.weight_bytes / exported.float_bytes
    yield (
        f"trial {trial.id}: accuracy {percent(exported.accuracy, 2)} as integers on the validation images "
        f"({percent(exported.simulated_accuracy, 2)} in training's simulation), "
        f"weights {exported.weight_bytes:,} bytes, {percent(share)} of float32"
    )
    yield from exported.notes
    for path in (*exported.files, exported.card):
        yield str(path)


def conversion_table(plans: Sequence[LayerPlan]) -> Table:
    """A row a layer: its format, and why it was converted or not."""
    table = _table("layer", "type", "becomes", "reason")
    for plan in plans:
        table.add_row(Text(plan.name), plan.layer_type, plan.format, Text(plan.reason))
    return table


def conversion_in_words(
    name: str, plans: Sequence[LayerPlan], network: nn.Module, shifted: nn.Module
) -> list[str]:
    """How many layers were converted, and what that saves."""
    converted = sum(plan.converted for plan in plans)
    before, after = weight_bytes(network), weight_bytes(shifted)
    share = percent(after / before if before else None)
    return [
        f"{name}: {converted} of {count(len(plans), 'layer')}, weights {before:,} bytes → {after:,} ({share})"
    ]


def prospect_in_words(
    name: str, network: nn.Module, image_shape: tuple[int, ...], classes: int, mode: NumericMode
) -> str:
    """Whether a network can be exported as integers once it is trained. Raises `BadInput` where it does not
    make one logit for each class."""
    try:
        refuse_misfit(name, network, image_shape, classes)
    except WrongImages as misfit:
        return f"whether it can be exported is not known: {misfit}; give --image-size"
    found = obstacle(network, image_shape, mode).removeprefix("cannot deploy ")
    return (
        f"it cannot be exported as integers, because of {found}"
        if found
        else "it can be exported as integers"
    )


def _table(*headings: str) -> Table:
    """A table that folds what does not fit, and crops nothing."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def latency_in_words(latency: Latency) -> str:
    """The median and the middle half, in milliseconds.

    >>> latency_in_words(Latency(0.0012, 0.0011, 0.159, 25))
    '1.20 ms (1.10 … 159)'
    """
    seconds = (latency.median_s, latency.low_s, latency.high_s)
    median, low, high = (significant(1000 * value) for value in seconds)
    return f"{median} ms ({low} … {high})"


def measured_table(measured: Sequence[Measured], intensity: CarbonIntensity) -> Table:
    """A row a way to run the network."""
    table = _table("network", "runtime", "batch", "latency", "energy\n/ image", "CO₂eq\n/ image", "known as")
    for row in measured:
        energy_j = row.energy.energy_j
        grams = None if energy_j is None else intensity.emissions_g(energy_j)
        latency = latency_in_words(row.latency) if row.latency else "–"
        table.add_row(
            Text(row.network), row.runtime, str(row.batch or "–"), latency,
            quantity(energy_j, "J"), quantity(grams, "g"), row.energy.kind,
        )  # fmt: skip
    return table


def measured_in_words(measured: Sequence[Measured], intensity: CarbonIntensity) -> list[str]:
    """What was run, whether its bits match, and what its energies and emissions are known by."""
    said = [text for row in measured for text in (row.task, row.check) if text]
    runs = {row.latency.runs for row in measured if row.latency}
    said += [f"latency of a batch: median and quartiles of {count(n, 'call')}" for n in runs]
    origins: dict[str, None] = {}
    for row in measured:
        flags = f" [{', '.join(row.energy.flags)}]" if row.energy.flags else ""
        origins[f"{row.energy.kind}: {row.energy.origin}{flags}"] = None
    return [*said, *origins, intensity.in_words]
