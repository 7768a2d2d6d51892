"""The base class of all recipe sections, and the rules for names."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]
"""name of a student or an ablation: part of a folder name"""


def _as_folder(name: str) -> str:
    if not name.strip(" .") or set(name) & set("/\\\0\n"):
        raise ValueError(f'{name!r} cannot be the name of a folder; write one such as "tiny"')
    return name


RunName = Annotated[str, Field(max_length=100), AfterValidator(_as_folder)]
"""name of a recipe, and thereby of its run folder"""


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Reject true and false for numbers: bool is a subclass of int in Python."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and annotation in (int, float, float | None):
            raise ValueError("true and false are no numbers")
        return value


def added(default: Any, **limits: Any) -> Any:
    """Declare a key that older recipes do not have: at its default it is not part of their hash."""
    return Field(default, exclude_if=lambda value: value == default, **limits)
