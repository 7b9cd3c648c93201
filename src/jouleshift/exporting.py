"""A chosen point of a run's front as files to ship, with a model card.

The network is had from its checkpoint (or trained again, to the same weights), lowered to integers, judged
once more as integers on the validation images, and written. Both accuracies are in the card: that of
training's simulation, on which the search decided, and that of what is shipped.
"""

from dataclasses import dataclass
from pathlib import Path

from jouleshift import environment, store
from jouleshift.analysis.pareto import front
from jouleshift.analysis.pick import is_float, pick
from jouleshift.analysis.spent import search_cost
from jouleshift.config import StudyConfig
from jouleshift.deploy.artefact import FORMS, export, form_of
from jouleshift.deploy.card import Card, write_card
from jouleshift.deploy.deployed import Deployed, calibration_images
from jouleshift.energy.carbon import place
from jouleshift.errors import BadInput
from jouleshift.evaluate import Evaluator
from jouleshift.records import CarbonIntensity, Evaluation, Failure, Run, TrialRecord

FOLDER = "export"


@dataclass(frozen=True)
class Exported:
    """What was shipped. Accuracies are on the validation images, as a fraction."""

    record: TrialRecord
    files: tuple[Path, ...]
    card: Path
    simulated_accuracy: float
    accuracy: float
    weight_bytes: int
    float_bytes: int
    notes: tuple[str, ...]


def export_run(
    run: Path,
    wish: str = "knee",
    *,
    form: str | None = None,
    out: Path | None = None,
    region: str | None = None,
    intensity: float | str | None = None,
    pue: float | None = None,
) -> Exported:
    """Export the trial that `wish` names (see `analysis.pick`) to `out`, whose suffix says the form.

    Without `out` the files go into the run's folder `export`. The card's emissions are for `region`,
    `intensity` and `pue`, by default the run's. Raises `BadInput`.
    """
    read = store.read_run(run)
    where = place(read.config, region=region, intensity=intensity, pue=pue)
    record = pick(read, wish)
    path = _target(run, record, form, out)
    evaluator = Evaluator(StudyConfig(**read.config), run / store.CHECKPOINTS)
    if not any(layer.converted for layer in evaluator.plan(record.trial.config)):
        depth = f"shift depth {record.trial.config['shift_depth']} and no shift layer"
        raise BadInput(f"trial {record.trial.id} has {depth}, no integers to export; pick another")
    trained = evaluator.trained(record.trial)
    if isinstance(trained, Failure):
        raise BadInput(f"trial {record.trial.id} cannot be trained again: {trained.message}")
    deployed = Deployed.of(trained[0], evaluator.data)
    program = deployed.program
    files = export(program, path, calibration_images(evaluator.data))
    assert isinstance(record.result, Evaluation)
    accuracy = 1.0 - deployed.error(evaluator.data.val)
    card = _card(read, record, evaluator, accuracy, where)
    card_path = path.with_suffix(".md")
    write_card(card, program, files, card_path)
    stored, floats = program.weight_bytes, 4 * program.n_weights
    simulated = record.result.accuracy
    notes = (*program.notes, *_passed_over(read, wish))
    return Exported(record, files, card_path, simulated, accuracy, stored, floats, notes)


def _passed_over(run: Run, wish: str) -> list[str]:
    """What a wish could not name: the front's float32 networks."""
    floats = [str(member.trial.id) for member in front(run) if is_float(member, run.config)]
    if not floats or wish.isdecimal():
        return []
    return [f"passed over on the front, float32 networks without a shift layer: trial {', '.join(floats)}"]


def _target(run: Path, record: TrialRecord, form: str | None, out: Path | None) -> Path:
    """Where to write: a path whose suffix is that of the form."""
    suffixes = {name: suffix for suffix, name in FORMS.items()}
    if form is not None and form not in suffixes:
        raise BadInput(f"format {form!r}: give one of {', '.join(suffixes)}")
    if out is not None and out.suffix:
        if form is not None and form_of(out) != form:
            raise BadInput(f"{out} is not the suffix of format {form!r}: {suffixes[form]}")
        return out
    suffix = suffixes[form or "onnx"]
    folder = out or run / FOLDER / f"trial-{record.trial.id}"
    return folder / f"network{suffix}"


def _card(
    run: Run, record: TrialRecord, evaluator: Evaluator, accuracy: float, where: CarbonIntensity
) -> Card:
    assert isinstance(record.result, Evaluation)
    study, data = evaluator.study, evaluator.data
    images = f"{len(data.val)} validation images"
    cost = search_cost([run])
    versions = {name: version for name, version in environment.versions().items() if version}
    plans = evaluator.plan(record.trial.config)
    own = {f"layer {plan.name}": plan.format for plan in plans if plan.name in evaluator.own_formats}
    return Card(
        name=f"{study.model} of trial {record.trial.id}",
        network=study.model,
        data=Path(study.data).name,
        image_shape=evaluator.image_shape,
        class_names=data.class_names,
        mean=data.train.mean.tolist(),
        std=data.train.std.tolist(),
        accuracy={
            f"{images}, as integers": accuracy,
            f"{images}, in training's simulation": record.result.accuracy,
        },
        energy=(record.result.energy,),
        intensity=where,
        configuration={
            **record.trial.config,
            "epochs": record.trial.budget,
            "seed": record.trial.seed,
            **own,
        },
        versions=versions,
        search_j=None if cost is None else cost.energy_j,
        search_how="" if cost is None else cost.how,
    )
