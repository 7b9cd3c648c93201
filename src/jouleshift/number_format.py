"""The number format of shift layers, and what all configurations share: they are validated once and frozen.

It stands below `config` because formats of single layers (`layer_formats`) are checked against it too.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jouleshift.errors import BadInput, nearest

ShiftType = Literal["Q", "PS"]
Rounding = Literal["deterministic", "stochastic"]
NumericMode = Literal["default", "reference"]


class Config(BaseModel):
    """Frozen; what is wrong with its values is `BadInput` of one line."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BadInput(_one_line(error, type(self))) from None


def _one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem of a pydantic error in one line that names the field and the nearest valid name."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown setting {where!r}{nearest(where, model.model_fields)}"
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        return message
    value = first.get("input")
    shown = "" if first["type"] == "missing" else f" {value!r}"
    return f"{where}{shown}: {message[0].lower()}{message[1:]}"


class ShiftConfig(Config):
    """The number format of shift layers, and how many get it (the lower half of the paper's Table 1)."""

    kind: Annotated[ShiftType, Field(description="Q quantises trained weights, PS trains shift and sign")] = (
        "PS"
    )
    weight_bits: Annotated[int, Field(ge=2, le=8, description="bits of a weight: sign and exponent")] = 5
    act_integer_bits: Annotated[
        int, Field(ge=1, le=32, description="integer bits of activations, sign included")
    ] = 16
    act_fraction_bits: Annotated[int, Field(ge=1, le=32, description="fraction bits of activations")] = 16
    rounding: Annotated[Rounding, Field(description="rounding of exponents in training")] = "deterministic"
    depth: Annotated[
        int | None, Field(ge=0, description="layers converted, from the output; None is all")
    ] = None
    mode: Annotated[NumericMode, Field(description="'reference' has DeepShift's semantics")] = "default"
