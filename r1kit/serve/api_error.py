"""Error responses, in the format of OpenAI's API.

    {"error": {"message": "...", "type": "invalid_request_error", "param": "messages[0].role",
               "code": null}}

409 is never used: OpenAI clients before version 1.0 retry it forever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from r1kit.errors import GrammarError

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
GONE = 499
"""status that is logged for a client that disconnected; never sent"""


class ApiError(Exception):
    """An error response: a message for the client, the HTTP status and the field at fault."""

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
        """Return the JSON body."""
        server = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = _TYPES.get(self.status, server)
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


def schema_refused(error: GrammarError) -> ApiError:
    """Return the error for a schema that cannot be followed, or not any further."""
    param = "response_format.json_schema.schema"
    return ApiError(400, f"{param}: {error}.", param=param)


def busy(message: str) -> ApiError:
    """Return the error of a full server (429); clients retry after the time in Retry-After."""
    return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "2"})


def unexpected(error: Exception) -> ApiError:
    """Return the error for a bug in the server; it names only the exception's type."""
    return ApiError(500, f"Something unexpected happened ({type(error).__name__}).")


def invalid(errors: Sequence[Mapping[str, Any]], field_names: Collection[str]) -> ApiError:
    """Return the error for pydantic's list of errors; `field_names` are those of all bodies.

    It never repeats what the client sent, except for the name of an unknown field.
    """
    # Every branch of a union reports errors; the deepest one is the branch the client meant.
    error = max(errors, key=lambda error: len(_path(error, field_names)))
    path = _path(error, field_names)
    param = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or None
    if error["type"] == "extra_forbidden":
        message = f"There is no field {param}; docs/serving.md lists those there are."
    elif param is None:
        message = "The body must be a JSON object, sent as Content-Type: application/json."
    else:
        message = f"{param}: {error['msg'].removeprefix('Value error, ')}."
    return ApiError(400, message, param=param)


def _path(error: Mapping[str, Any], field_names: Collection[str]) -> list[int | str]:
    """Return the path in the body: field names and list indices, without the types of unions."""
    if error["type"] == "json_invalid":
        return []
    *inner, last = list(error["loc"])[1:] or [None]
    if error["type"] == "extra_forbidden" and isinstance(last, str):
        last = last[:64] if last.isprintable() and last.isascii() else "(unprintable)"
        return [p for p in inner if isinstance(p, int) or p in field_names] + [last]
    return [p for p in [*inner, last] if isinstance(p, int) or p in field_names]
