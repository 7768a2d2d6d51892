"""What a client is told when it gets no answer, in the shape OpenAI's clients read.

    {"error": {"message": "...", "type": "invalid_request_error", "param": "messages[0].role",
               "code": null}}

409 is never used: clients older than 1.0 ask again on it without end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from r1kit.errors import GrammarError

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
GONE = 499
"""the status of what nobody waited for; no client sees it"""


class ApiError(Exception):
    """A sentence for the client, the status it comes with, and the field it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON of it."""
        server = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = _TYPES.get(self.status, server)
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


def schema_refused(error: GrammarError) -> ApiError:
    """The schema of the answer cannot be followed, or not any further."""
    param = "response_format.json_schema.schema"
    return ApiError(400, f"{param}: {error}.", param=param)


def busy(message: str) -> ApiError:
    """There is no room now; clients wait as long as told and ask again."""
    return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "2"})


def unexpected(error: Exception) -> ApiError:
    """What a client is told of a bug of ours."""
    return ApiError(500, f"Something unexpected happened ({type(error).__name__}).")


def invalid(errors: Sequence[Mapping[str, Any]], known: Collection[str]) -> ApiError:
    """From pydantic's list of errors; `known` are the names of all fields there are.

    What was sent is never repeated, but for the name of an unknown field.
    """
    # Of a union, every branch complains; the one that got deepest is the one that was meant.
    error = max(errors, key=lambda error: len(_place(error, known)))
    place = _place(error, known)
    param = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".") or None
    if error["type"] == "extra_forbidden":
        message = f"There is no field {param}; docs/serving.md lists those there are."
    elif param is None:
        message = "The body must be a JSON object, sent as Content-Type: application/json."
    else:
        message = f"{param}: {error['msg'].removeprefix('Value error, ')}."
    return ApiError(400, message, param=param)


def _place(error: Mapping[str, Any], known: Collection[str]) -> list[int | str]:
    """Where in the body: the names of fields and places in lists, without the types of unions."""
    if error["type"] == "json_invalid":
        return []
    *inner, last = list(error["loc"])[1:] or [None]
    if error["type"] == "extra_forbidden" and isinstance(last, str):
        last = last[:64] if last.isprintable() and last.isascii() else "(unprintable)"
        return [p for p in inner if isinstance(p, int) or p in known] + [last]
    return [p for p in [*inner, last] if isinstance(p, int) or p in known]
