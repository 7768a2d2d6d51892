"""The base classes of the request bodies, and the types that their fields share. No torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from r1kit.files.untrusted import refuse_unwritable
from r1kit.serve.limits import MAX_INT, MAX_STOP_CHARS

StopString = Annotated[str, StringConstraints(min_length=1, max_length=MAX_STOP_CHARS)]
TokenLimit = Annotated[int, Field(ge=1), AfterValidator(lambda n: min(n, MAX_INT))]
"""a token limit, capped to an integer that other programs can read"""
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class WireModel(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Body(WireModel):
    """A whole request. Values that cannot be serialized are refused before any work is done."""

    @model_validator(mode="before")
    @classmethod
    def _is_writable(cls, body: Any) -> Any:
        refuse_unwritable(body)  # not a ValueError, so pydantic passes it on with its path
        return body
