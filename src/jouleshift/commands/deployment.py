"""What to do with networks: export, measure, convert."""

import os
from pathlib import Path

from jouleshift.commands.output import show, stdout
from jouleshift.commands.settings import Elsewhere, OfLayers, Place, ShiftSettings
from jouleshift.config import ShiftConfig
from jouleshift.errors import BadInput
from jouleshift.layer_formats import formats_of


def export(
    run: Path,
    *,
    pick: str = "knee",
    format: str | None = None,
    out: Path | None = None,
    elsewhere: Elsewhere = None,
) -> None:
    """Write a point of a run's front as integers to ship: ONNX, C, torch.export or safetensors, and a card.

    Emissions in the card are for the run's place unless another is given.

    Parameters
    ----------
    run
        run directory
    pick
        knee, max-accuracy, min-energy, a limit such as "energy <= 2 uJ", or a trial's number
    format
        onnx, c, torch or safetensors; the suffix of --out says it too
    out
        file (model.onnx, model.c, model.pt2, model.safetensors) or folder; by default RUN/export/trial-N
    """
    from jouleshift.exporting import export_run
    from jouleshift.shown import exported_in_words

    exported = export_run(run, pick, form=format, out=out, **Place.given(elsewhere))
    console = stdout()
    for line in exported_in_words(exported):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def measure(
    model: str,
    *,
    runtime: str = "fastest",
    batch: int = 64,
    threads: int | None = None,
    power_w: float | None = None,
    windows: int = 5,
    image_size: int | None = None,
    classes: int | None = None,
    channels: int | None = None,
    profile: str | None = None,
    elsewhere: Elsewhere = None,
) -> None:
    """Energy and latency of an exported model, or of a network by name, on this machine.

    Parameters
    ----------
    model
        model.onnx, model.c, model.pt2 or model.safetensors, as export wrote it (C is compiled and run: only
        what you trust), or a folder with one of them; or the name of a network
    runtime
        onnxruntime, openvino or torch; auto takes what is mostly the fastest, fastest times each first
    batch
        images at a time
    threads
        CPU threads; by default one a core
    power_w
        watts of this machine at work, where no sensor tells; energy is then time × power, an estimate
    windows
        windows of the energy measurement
    image_size
        pixels of each side, of a network by name; 32, or 224 for names that end in _224
    classes
        number of classes, of a network by name; 10
    channels
        channels of the images, of a network by name; 3
    profile
        hardware profile that a network by name is priced on, by name or YAML file; asic-45nm
    """
    from jouleshift.energy.carbon import place

    where = place({}, **Place.given(elsewhere))  # refused before torch is loaded

    from jouleshift.deploy.measured import Conditions
    from jouleshift.measuring import Named, measure_model
    from jouleshift.shown import measured_in_words, measured_table

    threads = (os.cpu_count() or 1) if threads is None else threads
    conditions = Conditions(runtime, batch, threads, power_w, windows)
    measured = measure_model(model, conditions, Named(image_size, classes, channels, profile))
    show(stdout(), measured_table(measured, where), measured_in_words(measured, where))


def convert(
    model: str,
    *,
    classes: int = 10,
    channels: int = 3,
    image_size: int | None = None,
    layers: OfLayers = (),
    settings: ShiftSettings = None,
) -> None:
    """Convert a network to shift layers: what was converted, what not, and why; whether it can be exported.

    Parameters
    ----------
    model
        name of a network, or package.module:function that builds one
    classes
        number of classes
    channels
        channels of the images
    image_size
        pixels of each side, of images to try it on; 32, or 224 for names that end in _224
    """
    for name, number in (("classes", classes), ("channels", channels), ("image_size", image_size)):
        if number is not None and number < 1:
            raise BadInput(f"{name} {number}: expected at least 1")
    formats = formats_of(layers)  # refused before torch is loaded

    from jouleshift.conversion import convert as convert_network
    from jouleshift.conversion import plan
    from jouleshift.models import create
    from jouleshift.models.fit import usual_size
    from jouleshift.shown import conversion_in_words, conversion_table, prospect_in_words

    network, config = create(model, classes, channels), settings or ShiftConfig()
    side = image_size or usual_size(model)
    prospect = prospect_in_words(model, network, (channels, side, side), classes, config.mode)
    plans = plan(network, config, layers=formats)
    words = conversion_in_words(model, plans, network, convert_network(network, config, layers=formats))
    show(stdout(), conversion_table(plans), [*words, prospect])
