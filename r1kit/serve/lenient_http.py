"""ASGI middleware for what careless and old clients send.

Slashes too many in the address of a route, HEAD for GET, and HTTP/1.0: its clients cannot read
chunks, so a response without a length is collected first, and they may leave out the Host header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLASHES = re.compile("/{2,}")


class LenientHttpMiddleware:
    """Middleware around `app`, whose routes have these paths (`/v1/models/{name:path}`)."""

    def __init__(self, app: ASGIApp, routes: Iterable[str]) -> None:
        self.app = app
        paths = list(routes)
        self._paths = frozenset(path for path in paths if "{" not in path)
        beginnings = {path.partition("{")[0] for path in paths if "{" in path}
        self._beginnings = tuple(sorted(beginnings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = _SLASHES.sub("/", scope["path"])
        is_route = path.rstrip("/") in self._paths
        if is_route or path.startswith(self._beginnings):
            path = path.rstrip("/")
            scope = {**scope, "path": path, "raw_path": path.encode("utf-8", "surrogatepass")}
            if scope["method"] == "HEAD":  # the server drops the body
                scope["method"] = "GET"
        if scope["http_version"] == "1.0":
            await _collected(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def _collected(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response without a length at its end, with one."""
    start: Message = {}
    body, is_complete = b"", False

    async def collect(message: Message) -> None:
        nonlocal start, body, is_complete
        if message["type"] == "http.response.start":
            start = message
        else:
            body += message.get("body", b"")
            is_complete = not message.get("more_body", False)

    await app(scope, receive, collect)
    if start:
        # The body of a broken answer stays incomplete, so that no client takes it for an answer.
        MutableHeaders(scope=start)["content-length"] = str(len(body) + (not is_complete))
        await send(start)
        await send({"type": "http.response.body", "body": body, "more_body": not is_complete})
