"""Errors that came when their status could not be told any more, for whoever asks again.

An answer that is not streamed and takes long begins with blank lines, and with the status 200; what
goes wrong after that ends it in the middle, which every client takes for a broken connection.
OpenAI's clients ask again then, and say so in a header: they get the error that was meant, with its
status, in place of another answer that takes as long.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict

from starlette.requests import Request

from r1kit.serve.api_error import ApiError

_MAX_KEPT = 256
_KEPT_S = 60.0
"""clients ask again within eight seconds"""


class LateErrors:
    """The newest of one server, each told once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[float, ApiError]] = OrderedDict()

    def keep(self, asked: bytes, error: ApiError) -> None:
        """Only of errors that say when to ask again, or not to: any other may pass at once."""
        if error.headers:
            self._kept[asked] = (time.monotonic(), error)
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)

    def raise_kept(self, asked: bytes, request: Request) -> None:
        """Raises the ApiError of the same request, if this is a second try of it."""
        if request.headers.get("x-stainless-retry-count", "0") == "0":
            return
        at, error = self._kept.pop(asked, (0.0, None))
        if error is not None and time.monotonic() - at < _KEPT_S:
            raise error


async def fingerprint(request: Request) -> bytes:
    """The same for the same request of the same client."""
    told = [request.url.path, request.headers.get("authorization", "")]
    digest = hashlib.sha256("\n".join([*told, ""]).encode("utf-8", "surrogatepass"))
    digest.update(await request.body())
    return digest.digest()
