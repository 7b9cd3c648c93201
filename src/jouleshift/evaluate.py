"""Configuration, seed and budget in; Evaluation or Failure out.

This is the one place where data, network, conversion, training and energy are composed (Algorithm 1, line 8,
of the paper): build the network from the seed, convert it to shift layers as the configuration says, train it
for `budget` epochs from where its parent stopped, measure its error on the validation split and its energy.
The test split is not read, unless the evaluator is made for it: then training is the same, and the error is
that of the trained network on the test images, which played no part in anything before.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from jouleshift import conversion, models, recipes
from jouleshift.config import NumericMode, ShiftConfig, StudyConfig, TrainConfig
from jouleshift.data.batches import evaluation_batches, prepare, reduced
from jouleshift.data.sources import load
from jouleshift.deploy.lower import obstacle
from jouleshift.devices import resolve_device
from jouleshift.energy.foreknown import describe
from jouleshift.energy.hardware import load_profile, model_energy
from jouleshift.energy.quiet import trial_running
from jouleshift.energy.workload import trace
from jouleshift.errors import BadInput, Unwritable
from jouleshift.fidelity import Fidelity, Setting
from jouleshift.foreknowledge import digest_of_prices
from jouleshift.layer_formats import with_bits
from jouleshift.models.fit import refuse_misfit
from jouleshift.records import EnergyReading, Epoch, Evaluation, Failure, Trial, Value
from jouleshift.train.loop import TrainResult, train, validate
from jouleshift.words import count


def shift_config(config: Mapping[str, Value], mode: NumericMode) -> ShiftConfig:
    """The lower half of Table 1 as the number format of the shift layers."""
    names = {
        "kind": "shift_type",
        "weight_bits": "weight_bits",
        "act_integer_bits": "activation_integer_bits",
        "act_fraction_bits": "activation_fraction_bits",
        "rounding": "rounding",
        "depth": "shift_depth",
    }
    sampled: dict[str, Any] = {ours: config[theirs] for ours, theirs in names.items()}
    return ShiftConfig(**sampled, mode=mode)


def train_config(config: Mapping[str, Value], study: StudyConfig) -> TrainConfig:
    """The upper half of Table 1, and what the study fixes, as the way to train."""
    names = ("batch_size", "optimizer", "learning_rate", "momentum", "weight_decay")
    sampled: dict[str, Any] = {name: config[name] for name in names}
    return TrainConfig(**sampled, **recipes.training_settings(study))


class Judged(NamedTuple):
    """What a trained network is: error 0 … 1, and energy and time of one inference of one image."""

    error: float
    energy: EnergyReading
    latency_s: float | None = None


class Evaluator:
    """Evaluates trials of one study; keeps the data in memory between them.

    `checkpoints` is the folder where trial N leaves `N.pt` and looks for its parent's. A missing or broken
    checkpoint costs time only: the trial trains from its first epoch and ends with the same weights.
    `split` is where errors are judged; a search judges on the validation images.
    Raises `BadInput` for data that cannot be read and for a network that does not fit it.
    """

    def __init__(self, study: StudyConfig, checkpoints: Path, split: Literal["val", "test"] = "val") -> None:
        self.study = study
        self.fidelity = Fidelity.of(study.model_dump())
        self.checkpoints = checkpoints
        self.device = resolve_device(study.device)
        if study.threads is not None:
            torch.set_num_threads(study.threads)
        splits = load(
            study.data, seed=study.seed, val_fraction=study.val_fraction, limit_train=study.limit_train,
            limit_val=study.limit_val, image_size=study.image_size, on_corrupt=study.on_corrupt,
            with_test=split == "test",
        )  # fmt: skip
        self.skipped = splits.skipped
        self.data = prepare(splits, self.device)
        self.profile = load_profile(study.profile)
        self.image_shape = tuple(splits.train.images.shape[1:])
        network = self.build(study.seed)
        refuse_misfit(study.model, network, self.image_shape, len(self.data.class_names))
        self.workload = trace(network, torch.zeros(1, *self.image_shape))
        self.max_depth = conversion.convertible_layers(network, study.mode)
        self.own_formats = conversion.own_formats(network, study.layers, study.mode)
        self.obstacle = obstacle(network, self.image_shape, study.mode)
        if self.obstacle and study.energy == "deployed":
            raise BadInput(f"--energy deployed: {self.obstacle}")
        self.teacher = self._float_network() if study.distil else None

    @property
    def foreknown(self) -> dict[str, Any]:
        """What `energy.foreknown` needs to price configurations without this network; plain JSON."""
        model = self.build(self.study.seed)
        depths = conversion.depths(model, self.study.mode)
        counts = {name: model.get_parameter(f"{name}.weight").numel() for name in depths}
        rest = conversion.weight_bytes(model) - 4 * sum(counts.values())
        weights = {**counts, "": rest}
        return {
            "workload": describe(self.workload), "depths": depths,
            "weights": weights, "layers": self.own_formats,
        }  # fmt: skip

    @property
    def facts(self) -> dict[str, Any]:
        """What the search and the report need to know of data, network and machine; plain JSON."""
        return {
            "max_depth": self.max_depth,
            "obstacle": self.obstacle,
            "uncounted": list(self.workload.uncounted),
            "classes": list(self.data.class_names),
            "images": {
                "train": len(self.data.train),
                "val": len(self.data.val),
                "shape": list(self.image_shape),
                "skipped": list(self.skipped),
            },
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "profile_digest": digest_of_prices(self.profile),
        }

    def build(self, seed: int) -> nn.Module:
        """The float network, its weights drawn from the seed."""
        torch.manual_seed(seed)
        return models.create(self.study.model, len(self.data.class_names), self.image_shape[0])

    def __call__(
        self, trial: Trial, on_epoch: Callable[[Epoch], None] = lambda epoch: None
    ) -> Evaluation | Failure:
        trained = self._trained_unless_refused(trial, on_epoch)
        if isinstance(trained, Failure):
            return trained
        model, result = trained
        started = time.monotonic()
        setting = self.fidelity.setting(trial.budget)
        shipped = model if setting.precision == 1 else self.converted(trial.config, trial.seed)
        try:
            judged = self.judge(model, result.error, shipped)
        except BadInput as refusal:
            return Failure("refused", str(refusal))
        if trial.budget < self.study.max_budget:
            judged = judged._replace(energy=replace(judged.energy, layers={}))
        return _evaluation(result, judged, shipped, setting, time.monotonic() - started)

    def train_only(
        self, trial: Trial, on_epoch: Callable[[Epoch], None] = lambda epoch: None
    ) -> Failure | None:
        """Train a trial up to its checkpoint, from where it can be evaluated anywhere; None where that went
        well."""
        trained = self._trained_unless_refused(trial, on_epoch)
        return trained if isinstance(trained, Failure) else None

    def _trained_unless_refused(
        self, trial: Trial, on_epoch: Callable[[Epoch], None]
    ) -> tuple[nn.Module, TrainResult] | Failure:
        try:
            return self.trained(trial, on_epoch)
        except Unwritable:
            raise
        except BadInput as refusal:
            return Failure("refused", str(refusal))

    def _float_network(self) -> nn.Module:
        """The float network, trained for the full budget at `TrainConfig`'s rates; kept between workers."""
        model = self.build(self.study.seed)
        trained = train(
            model,
            self.data,
            TrainConfig(**recipes.training_settings(self.study)),
            epochs=self.study.max_budget,
            horizon=self.study.max_budget,
            seed=self.study.seed,
            device=self.device,
            checkpoint_out=self.checkpoints / "teacher.pt",
        )
        if isinstance(trained, Failure):
            raise BadInput(f"distil: the float network cannot be trained ({trained.message})")
        return model

    def trained(
        self, trial: Trial, on_epoch: Callable[[Epoch], None] = lambda epoch: None
    ) -> tuple[nn.Module, TrainResult] | Failure:
        """The network of a trial, trained; from its own checkpoint at once where that is complete.

        Raises `BadInput` where the configuration does not fit the network.
        """
        setting = self.fidelity.setting(trial.budget)
        model = self.converted(trial.config, trial.seed, setting.weight_bits)
        config = train_config(trial.config, self.study)
        data = reduced(self.data, setting.train_fraction, self.study.seed)

        def ended(epoch: Epoch) -> None:
            on_epoch(epoch)
            stand_still()

        with trial_running() as stand_still:
            result = train(
                model,
                data,
                config,
                epochs=setting.epochs,
                horizon=self.study.max_budget,
                seed=trial.seed,
                device=self.device,
                checkpoint_in=self._checkpoint(trial.parent) if self.fidelity.continues else None,
                checkpoint_out=self._checkpoint(trial.id),
                on_epoch=ended,
                recipe=recipes.recipe_for(self.study, model, config.weight_decay, self.teacher),
            )
        return result if isinstance(result, Failure) else (model, result)

    def converted(
        self, config: Mapping[str, Value], seed: int, bits: Callable[[int], int] = int
    ) -> nn.Module:
        """The shift network of a configuration, not yet trained; `bits` are those to use of a layer's own."""
        form = shift_config({**config, "weight_bits": bits(int(config["weight_bits"]))}, self.study.mode)
        return conversion.convert(self.build(seed), form, layers=with_bits(self.study.layers, bits))

    def plan(self, config: Mapping[str, Value]) -> tuple[conversion.LayerPlan, ...]:
        """What a configuration makes of each layer."""
        form = shift_config(config, self.study.mode)
        return conversion.plan(self.build(self.study.seed), form, layers=self.study.layers)

    def judge(self, model: nn.Module, error: float | None, shipped: nn.Module | None = None) -> Judged:
        """Error on the split, and energy and latency of one inference, from the study's source.

        `shipped` is the network in the configuration's own number format, which modelled energy is that of,
        where training at a lower fidelity has used another. `error` is training's own, on the validation
        images; None, and NaN in return, where it is not wanted. Where the energy is that of the deployed
        network, so is the error. Raises `BadInput` where the network cannot be deployed.
        """
        if self.study.energy == "deployed":
            return self._deployed(model, energy_alone=error is None)
        if error is None:
            error = math.nan
        elif self.data.test is not None:
            _, error = validate(model, evaluation_batches(self.data.test))
        if self.study.energy == "simulated":
            return Judged(error, self._simulated(model))
        example = torch.zeros(1, *self.image_shape, device=self.device)
        energy = model_energy(trace(shipped or model, example), self.profile).reading()
        latency_s = None if energy.energy_j is None else self.profile.latency_s(energy.energy_j)
        return Judged(error, energy, latency_s)

    def _deployed(self, model: nn.Module, energy_alone: bool) -> Judged:
        from jouleshift.deploy.deployed import Deployed
        from jouleshift.deploy.measured import Conditions

        deployed = Deployed.of(model, self.data)
        conditions = Conditions(threads=torch.get_num_threads(), power_w=self.study.power_w)
        split = self.data.val if self.data.test is None else self.data.test
        error = math.nan if energy_alone else deployed.error(split)
        return Judged(error, *deployed.measured(conditions))

    def _simulated(self, model: nn.Module) -> EnergyReading:
        from jouleshift.energy.codecarbon import simulated

        def validation() -> None:
            validate(model, evaluation_batches(self.data.val))

        return simulated(validation, n_items=len(self.data.val), region=self.study.region)

    def _checkpoint(self, trial_id: int | None) -> Path | None:
        return None if trial_id is None else self.checkpoints / f"{trial_id}.pt"


def _evaluation(
    trained: TrainResult, judged: Judged, model: nn.Module, setting: Setting, energy_s: float
) -> Evaluation | Failure:
    if not math.isfinite(trained.val_loss):
        epochs = count(len(trained.curve), "epoch")
        return Failure("diverged", f"validation loss {trained.val_loss} after {epochs}")
    if judged.energy.energy_j is None:
        return Failure("refused", f"no energy from {judged.energy.origin}")
    return Evaluation(
        error=judged.error,
        energy=judged.energy,
        curve=trained.curve,
        trained_epochs=trained.trained_epochs,
        weight_bytes=conversion.weight_bytes(model),
        train_s=round(trained.train_s, 3),
        energy_s=round(energy_s, 3),
        latency_s=judged.latency_s,
        train_fraction=setting.train_fraction,
    )
