"""Error responses, in the format of OpenAI's API, and of Anthropic's on its routes.

    {"error": {"message": "...", "type": "invalid_request_error", "param": "messages[0].role",
               "code": null}}

    {"type": "error", "error": {"type": "invalid_request_error", "message": "..."}}

409 is never used: OpenAI clients before version 1.0 retry it forever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.errors import GrammarError

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
TOO_LONG = "context_length_exceeded"
"""code of a prompt that is too long; messages repeat it, because LangChain looks for it there"""
SCHEMA_PARAM = "response_format.json_schema.schema"
GONE = 499
"""status that is logged for a client that disconnected; never sent"""
PREFIXES = ("/v1", "", "/beta", "/v1/beta")
"""the routes exist under each of these; DeepSeek has prefix completion under /beta"""
_ANTHROPIC_ROUTES = {
    prefix + path for prefix in PREFIXES for path in ("/messages", "/messages/count_tokens")
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


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


def is_anthropic(path: str) -> bool:
    """Return True if the route belongs to Anthropic's API."""
    return path in _ANTHROPIC_ROUTES


def error_body(error: ApiError, path: str) -> dict[str, Any]:
    """Return the JSON body in the format of the API to which the route belongs."""
    return anthropic_body(error) if is_anthropic(path) else error.body()


def anthropic_body(error: ApiError) -> dict[str, Any]:
    """Return the JSON body in Anthropic's format; clients look for the words of a long prompt."""
    kind = _ANTHROPIC_TYPES.get(error.status, "invalid_request_error")
    words = "prompt is too long: " if error.code == TOO_LONG else ""
    return {"type": "error", "error": {"type": kind, "message": words + error.message}}


def schema_refused(error: GrammarError, param: str = SCHEMA_PARAM) -> ApiError:
    """Return the error for a schema that cannot be followed, or not any further."""
    return ApiError(400, f"{param}: {error}.", param=param)


def busy(message: str) -> ApiError:
    """Return the error of a full server (429); clients retry after the time in Retry-After."""
    return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "2"})


def unexpected(error: Exception) -> ApiError:
    """Return the error for a bug in the server; it names only the exception's type."""
    return ApiError(500, f"Something unexpected happened ({type(error).__name__}).")
