"""Configurations as flags."""

from typing import Annotated

from cyclopts import Parameter

from jouleshift.config import ShiftConfig, StudyConfig


class SearchSettings(StudyConfig):
    """`StudyConfig` as flags; the data is the command's own argument."""

    data: Annotated[str, Parameter(parse=False)] = "digits"


Settings = Annotated[SearchSettings | None, Parameter(name="*")]
ShiftSettings = Annotated[ShiftConfig | None, Parameter(name="*")]
