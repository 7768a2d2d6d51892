"""Errors that occurred after status 200 was sent, kept for the client's retry.

A long answer without streaming begins with status 200 and blank lines. An error after that cuts the
body off, which every client takes for a broken connection. OpenAI's clients then retry and say so
in a header: the retry gets the original error with its status, instead of another answer that takes
as long.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict

from starlette.requests import Request

from r1kit.serve.api_error import ApiError

_MAX_ERRORS = 256
_KEEP_S = 60.0
"""seconds; clients retry within eight"""


class LateErrors:
    """The newest late errors of one server, each raised once."""

    def __init__(self) -> None:
        self._errors: OrderedDict[bytes, tuple[float, ApiError]] = OrderedDict()

    def keep(self, digest: bytes, error: ApiError) -> None:
        """Store an error that says when to retry, or not to; any other may not occur again."""
        if error.headers:
            self._errors[digest] = (time.monotonic(), error)
            while len(self._errors) > _MAX_ERRORS:
                self._errors.popitem(last=False)

    def raise_kept(self, digest: bytes, request: Request) -> None:
        """Raise the stored ApiError of the same request, if this is a retry."""
        if request.headers.get("x-stainless-retry-count", "0") == "0":
            return
        at, error = self._errors.pop(digest, (0.0, None))
        if error is not None and time.monotonic() - at < _KEEP_S:
            raise error


async def fingerprint(request: Request) -> bytes:
    """Return a digest that is equal for equal requests of the same client."""
    keys = [request.headers.get(name, "") for name in ("authorization", "x-api-key")]
    parts = [request.url.path, *keys]
    digest = hashlib.sha256("\n".join([*parts, ""]).encode("utf-8", "surrogatepass"))
    digest.update(await request.body())
    return digest.digest()
