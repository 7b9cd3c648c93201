"""What `jouleshift paper NAME` knows: each figure and table of the paper, and the studies it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jouleshift.errors import BadInput, nearest
from jouleshift.paper.studies import STUDIES, Study

Kind = Literal["space", "front", "table", "importance", "rates", "weights"]


@dataclass(frozen=True)
class Experiment:
    """A figure or table: `kind` is its form."""

    name: str
    title: str
    kind: Kind
    studies: tuple[Study, ...]

    @property
    def needs_importance(self) -> bool:
        """Whether it is about what matters, for which few results say nothing."""
        return self.kind in ("importance", "weights")


_NETWORKS = {"resnet20": "ResNet20", "mobilenetv2": "MobileNetV2", "googlenet": "GoogLeNet"}
_DATA = {"cifar10": "CIFAR-10", "caltech101": "Caltech101"}
_PANELS = {
    "a": "mobilenetv2-caltech101",
    "b": "mobilenetv2-cifar10",
    "c": "googlenet-caltech101",
    "d": "googlenet-cifar10",
    "e": "resnet20-caltech101",
    "f": "resnet20-cifar10",
}


def _title(study: Study) -> str:
    return f"{_NETWORKS[study.model]} on {_DATA[study.data]}"


def _experiments() -> dict[str, Experiment]:
    main = STUDIES["resnet20-cifar10"]
    rates = (STUDIES["learning-rates"], STUDIES["default-rate"])
    found = [
        Experiment(f"figure-1{panel}", f"Pareto fronts of {_title(STUDIES[name])}", "front", (STUDIES[name],))
        for panel, name in _PANELS.items()
    ]
    found += [
        Experiment("figure-2", f"importance for the loss, {_title(main)}", "importance", (main,)),
        Experiment("figure-3", f"importance for emissions, {_title(main)}", "importance", (main,)),
        Experiment("figure-4", "emissions over learning rates, default configuration", "rates", rates),
        Experiment("figure-5", f"importance over weights of loss and emissions, {_title(main)}", "weights",
                   (main,)),
        Experiment("table-1", "configuration space", "space", ()),
    ]  # fmt: skip
    found += [
        Experiment(
            f"table-{study.table}", f"Pareto-optimal configurations, {_title(study)}", "table", (study,)
        )
        for study in STUDIES.values()
        if study.table
    ]
    return {experiment.name: experiment for experiment in found}


EXPERIMENTS: Mapping[str, Experiment] = _experiments()


def chosen(name: str) -> tuple[Experiment, ...]:
    """The experiments of a name, all of them for `all`, the six panels for `figure-1`; `BadInput` names the
    nearest known one."""
    if name == "all":
        return tuple(EXPERIMENTS.values())
    if name == "figure-1":
        return tuple(e for e in EXPERIMENTS.values() if e.kind == "front")
    if name not in EXPERIMENTS:
        raise BadInput(f"the paper has no {name!r}{nearest(name, [*EXPERIMENTS, 'figure-1', 'all'])}")
    return (EXPERIMENTS[name],)
