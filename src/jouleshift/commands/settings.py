"""Configurations as flags."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from cyclopts import Parameter

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
    constraint: Annotated[tuple[str, ...], Parameter(negative=(), help=f"{_help('constraint')}; repeat the flag for several")] = ()


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


Elsewhere = Annotated[Place | None, Parameter(name="*")]
Settings = Annotated[SearchSettings | None, Parameter(name="*")]
ShiftSettings = Annotated[ShiftConfig | None, Parameter(name="*")]
