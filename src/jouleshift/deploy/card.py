"""The model card: what a network is, how good, how large, what it uses, and how to check all that again.

Markdown with a head in YAML as model hubs read it; `co2_eq_emissions.emissions` is in grams there, and is
what training and search cost, which is why a card has it only where that is known. Its source says how the
energy is known, not only the grid: joules that rest on an assumed power must not pass for measured ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pprint import pformat
from typing import Any

import numpy as np
import yaml

from jouleshift.deploy import nodes as p
from jouleshift.deploy.program import NEARLY, IntegerProgram
from jouleshift.records import CarbonIntensity, EnergyReading
from jouleshift.words import count


@dataclass(frozen=True)
class Card:
    """What a card tells. Accuracies are fractions by what they were judged on; energies per image."""

    name: str
    network: str
    data: str
    image_shape: tuple[int, ...]
    class_names: Sequence[str]
    mean: Sequence[float]
    """Of each channel of the training images, in 0 … 255; `std` likewise."""
    std: Sequence[float]
    accuracy: Mapping[str, float]
    energy: Sequence[EnergyReading]
    intensity: CarbonIntensity
    configuration: Mapping[str, Any]
    versions: Mapping[str, str]
    search_j: float | None = None
    """What training and search took, all times together, and how that is known."""
    search_how: str = ""
    notes: Sequence[str] = field(default=())


def write_card(card: Card, program: IntegerProgram, files: Sequence[Path], path: Path) -> None:
    """Write the card as Markdown."""
    path.write_text(render(card, program, files), encoding="utf-8")


def render(card: Card, program: IntegerProgram, files: Sequence[Path]) -> str:
    """The card's text."""
    parts = [_head(card), f"# {card.name}", _summary(card, program), _input(card), _results(card, program)]
    parts += [
        _check(program, files),
        _table("Configuration", card.configuration),
        _table("Versions", card.versions),
    ]
    return "\n\n".join(parts) + "\n"


def _head(card: Card) -> str:
    head: dict[str, Any] = {
        "library_name": "jouleshift",
        "pipeline_tag": "image-classification",
        "tags": ["deep-shift-network", "quantized", "integer"],
        "model-index": [
            {
                "name": card.name,
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": card.data, "type": card.data},
                        "metrics": [
                            {"type": "accuracy", "name": where, "value": round(value, 6)}
                            for where, value in card.accuracy.items()
                        ],
                    }
                ],
            }
        ],
    }
    if card.search_j is not None:
        head["co2_eq_emissions"] = {
            "emissions": float(f"{card.intensity.emissions_g(card.search_j):.4g}"),
            "source": f"energy {card.search_how}; {card.intensity.in_words}",
            "training_type": "architecture and hyperparameter search",
            "geographical_location": card.intensity.region,
        }
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---"


def _summary(card: Card, program: IntegerProgram) -> str:
    layers = program.all(p.ShiftLayer)
    plain = len(program.all(p.FloatLayer))
    bits = sorted({layer.weights.weight_bits for layer in layers})
    rest = f", {count(plain, 'layer')} in float32" if plain else ", integers throughout"
    return (
        f"{card.network} for {card.data}: {count(len(layers), 'layer')} whose weights are ±2^k in "
        f"{' and '.join(map(str, bits))} bits{rest}. Multiplying by such a weight is a shift."
    )


_PREPARE = """\
import numpy as np
from PIL import Image, ImageOps

SIZE = {size}  # width, height
MEAN, STD = np.float32({mean}), np.float32({std})
CLASSES = {classes}

def prepare(file):
    image = Image.open(file)
    if image.size != SIZE:
        image.draft(None, (2 * SIZE[0], 2 * SIZE[1]))  # large JPEGs are decoded at a coarser scale
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # integers: the upper 8 of 16 bits, unless 32-bit ones all fit 8
        values = np.asarray(image, np.int64).clip(0, 65535)
        fits = image.mode == "I" and values.max() <= 255
        clear = values == image.info.get("transparency", -1)
        image = Image.fromarray(np.where(clear, 255, values if fits else values >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("{mode}").resize(SIZE, Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32).reshape(SIZE[1], SIZE[0], {channels})
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)[None]\
"""


def _input(card: Card) -> str:
    channels, height, width = card.image_shape
    colours = "one channel, grey" if channels == 1 else "channels red, green, blue"
    code = _PREPARE.format(
        size=(width, height),
        mean=_exact(card.mean),
        std=_exact(card.std),
        classes=pformat(list(card.class_names), width=100, compact=True),
        mode="L" if channels == 1 else "RGB",
        channels=channels,
    )
    return (
        f"## Input and output\n\nfloat32 (N, {channels}, {height}, {width}): images, {colours}, rows from "
        "the top. Pixels in 0 … 255, less `MEAN`, divided by `STD` of the channel. An image of another size "
        f"is scaled to {width} × {height}, whatever its shape; nothing is cut off. Transparency is laid over "
        f"white; of 16-bit grey the upper 8 bits count. This makes of a file what the network was trained on:"
        f"\n\n```python\n{code}\n```\n\n"
        f"Out come logits (N, {len(card.class_names)}); the class is `CLASSES[logits[0].argmax()]`."
    )


def _exact(values: Sequence[float]) -> str:
    """Float32 numbers with as few digits as give them back."""
    return f"[{', '.join(str(np.float32(value)) for value in values)}]"


def _results(card: Card, program: IntegerProgram) -> str:
    stored, floats = program.weight_bytes, 4 * program.n_weights
    rows = [(f"accuracy, {where}", f"{100 * value:.2f} %") for where, value in card.accuracy.items()]
    rows += [("weights", f"{stored:,} bytes ({100 * stored / floats:.1f} % of float32)")]
    rows += [("biases and multipliers", f"{program.constant_bytes:,} bytes")]
    for reading in card.energy:
        if reading.energy_j is not None:
            grams = card.intensity.emissions_g(reading.energy_j)
            rows.append(
                (f"energy per image, {reading.source}", f"{reading.energy_j:.4g} J ({_how(reading)})")
            )
            rows.append((f"emissions per image, {reading.source}", f"{grams:.4g} g CO₂eq"))
    if card.search_j is not None:
        rows.append(("energy of the search", f"{card.search_j:.4g} J ({card.search_how})"))
        rows.append(("emissions of the search", f"{card.intensity.emissions_g(card.search_j):.4g} g CO₂eq"))
    body = "\n".join(f"| {what} | {value} |" for what, value in rows)
    note = f"Emissions at {card.intensity.in_words}."
    remarks = "".join(f"\n\n{text}" for text in card.notes)
    return f"## Results\n\n| | |\n| --- | --- |\n{body}\n\n{note}{remarks}"


def _how(reading: EnergyReading) -> str:
    interval = ""
    if reading.interval_j is not None:
        low, high = reading.interval_j
        interval = f", 95 % interval {low:.4g} … {high:.4g} J"
    flags = f"; {', '.join(reading.flags)}" if reading.flags else ""
    return f"{reading.kind}, {reading.origin}{interval}{flags}"


def _check(program: IntegerProgram, files: Sequence[Path]) -> str:
    names = ", ".join(f"`{path.name}`" for path in files)
    runnable = [path for path in files if path.suffix in (".onnx", ".pt2", ".safetensors")]
    commands = [f"jouleshift measure {path.name}" for path in runnable if ".check." not in path.name]
    if any(path.suffix == ".c" for path in files):
        commands.append("make check")
    text = "\n".join(commands)
    openvino = (
        "\n\nOpenVINO adds roundings of its own when it reads the ONNX file; through "
        '`jouleshift.deploy.runtime.load(file, "openvino")` it does not.'
    )
    warning = openvino if any(path.suffix == ".onnx" for path in files) else ""
    promise = (
        "Every executor gives the same integers; to check that these still do"
        if program.all_integer
        else "Each executor sums the float32 layers in its own order, so logits may differ a little; to "
        f"check that most are still within {100 * NEARLY:.0f} % of their span"
    )
    return f"## Files\n\n{names}. {promise}, on images kept beside the model:\n\n```\n{text}\n```{warning}"


def _table(title: str, values: Mapping[str, Any]) -> str:
    body = "\n".join(f"| {name} | {value} |" for name, value in values.items())
    return f"## {title}\n\n| | |\n| --- | --- |\n{body}"
