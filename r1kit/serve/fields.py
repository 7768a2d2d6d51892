"""The base classes of the request bodies, and the types that their fields share. No torch.

Bodies are read leniently where this cannot change their meaning: null is an absent field, also for
an unknown field, 60.0 is 60, -1 is no token limit, and the entries of `extra_body`, which OpenAI's
Python client would have sent as fields, are fields.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from r1kit.files.untrusted import refuse_unwritable
from r1kit.serve.limits import MAX_INT, MAX_STOP_CHARS


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


StopString = Annotated[str, StringConstraints(min_length=1, max_length=MAX_STOP_CHARS)]
WholeNumber = Annotated[int, BeforeValidator(_whole)]
"""an integer, which may be written as 60.0"""
TokenLimit = Annotated[WholeNumber, Field(ge=1), AfterValidator(lambda n: min(n, MAX_INT))]
"""a token limit, capped to an integer that other programs can read"""
TokenCount = Annotated[WholeNumber, Field(ge=0), AfterValidator(lambda n: min(n, MAX_INT))]
"""a token limit that may be 0"""
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


class WireModel(BaseModel):
    """A JSON object of a request."""

    without_effect: ClassVar[frozenset[str]] = frozenset()
    """fields that are accepted and have no effect, named in a response header"""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @property
    def is_without_effect(self) -> bool:
        """True if the whole object has no effect."""
        return False

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if value is not None}


class Body(WireModel):
    """A whole request. Values that cannot be serialized are refused before any work is done."""

    @model_validator(mode="before")
    @classmethod
    def _is_writable(cls, body: Any) -> Any:
        refuse_unwritable(body)  # not a ValueError, so pydantic passes it on with its path
        if not isinstance(body, dict):
            return body
        if isinstance(extra := body.get("extra_body"), dict):
            body = {**extra, **{name: part for name, part in body.items() if name != "extra_body"}}
        unlimited = {name for name in _LIMITS if is_minus_one(body.get(name))}
        return {name: value for name, value in body.items() if name not in unlimited}


def is_minus_one(value: Any) -> bool:
    """Return True for -1, which as a token limit is none."""
    return type(value) in (int, float) and value == -1
