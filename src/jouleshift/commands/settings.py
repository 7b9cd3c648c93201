"""Configurations as flags."""

from typing import Annotated

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
    constraint: Annotated[tuple[str, ...], Parameter(negative=(), help=_help("constraint"))] = ()


Settings = Annotated[SearchSettings | None, Parameter(name="*")]
ShiftSettings = Annotated[ShiftConfig | None, Parameter(name="*")]
