"""Configurations as flags."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import Field

from jouleshift.config import ShiftConfig, StudyConfig
from jouleshift.objectives import USUAL


def _help(field: str) -> str | None:
    return StudyConfig.model_fields[field].description


class SearchSettings(StudyConfig):
    """`StudyConfig` as flags; the data is the command's own argument."""

    data: Annotated[str, Parameter(parse=False)] = "digits"
    objectives: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), help=_help("objectives"))
    ] = USUAL
    constraint: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help=f"{_help('constraint')}; repeat the flag for several"),
    ] = ()
    layers: Annotated[Mapping[str, Any], Parameter(parse=False)] = Field(default_factory=dict)
    """Entries are repeated flags, for which a mapping has no place: commands take `OfLayers`."""


def _own_of_the_study(field: str) -> Parameter:
    return Parameter(show_default=False, help=f"{_help(field)}; default: the study's at this scale")


class PaperSettings(SearchSettings):
    """What may be set of the paper's studies, as flags; what makes a study that study is none."""

    model: Annotated[str, Parameter(parse=False)] = "resnet20"
    seed: Annotated[int, Parameter(parse=False)] = 0
    space: Annotated[Mapping[str, Any], Parameter(parse=False)] = Field(default_factory=dict)
    out: Annotated[Path, Parameter(help="folder of the run directories and files")] = Path("runs/paper")
    trials: Annotated[int, _own_of_the_study("trials")] = 60
    min_budget: Annotated[int, _own_of_the_study("min_budget")] = 1
    max_budget: Annotated[int, _own_of_the_study("max_budget")] = 9
    limit_train: Annotated[int | None, _own_of_the_study("limit_train")] = None
    limit_val: Annotated[int | None, _own_of_the_study("limit_val")] = None
    image_size: Annotated[int | None, Parameter(help="pixels; default: the study's at this scale")] = None
    scheduler: Annotated[str, _own_of_the_study("scheduler")] = "parego-hyperband"


@dataclass(frozen=True)
class Place:
    """Where energy is drawn, for commands whose run may have a place of its own."""

    region: Annotated[str | None, Parameter(help=_help("region"))] = None
    intensity: Annotated[float | str | None, Parameter(help=_help("intensity"))] = None
    pue: Annotated[float | None, Parameter(help=_help("pue"))] = None

    @staticmethod
    def given(place: "Place | None") -> dict[str, Any]:
        """What was stated, as arguments for `energy.carbon.place`."""
        return {} if place is None else asdict(place)


OfLayers = Annotated[
    tuple[str, ...],
    Parameter(
        name="--layers",
        negative=(),
        help="format of single layers, NAME=BITS, NAME=float or NAME={kind: Q, weight_bits: 3}; NAME is "
        "first, last or a layer's, with * and ?; repeat the flag for several",
    ),
]
Elsewhere = Annotated[Place | None, Parameter(name="*")]
OfTheStudies = Annotated[PaperSettings | None, Parameter(name="*")]
Settings = Annotated[SearchSettings | None, Parameter(name="*")]
ShiftSettings = Annotated[ShiftConfig | None, Parameter(name="*")]
