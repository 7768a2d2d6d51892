"""The ASGI app around gradio: only the routes that the pages need, with security headers.

gradio has many routes: uploads, files, a proxy, a code assistant. Routes not listed here do not
exist. Model output is untrusted (script tags, images that report home). gradio's Chatbot sanitizes
it, and a Content-Security-Policy protects the reader if that fails: nothing is loaded from or sent
to other hosts, and of inline scripts only those of gradio's own page run, by their hashes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r1kit.pages.i18n import preferred, say
from r1kit.pages.script import HEAD
from r1kit.pages.sessions import PATIENCE_S, Sessions

PAGES = frozenset({"/"})
_API = "/gradio_api"
_JOIN, _DATA = f"{_API}/queue/join", f"{_API}/queue/data"
MAX_SESSION_CHARS = 64
_EXACT = PAGES | {
    _JOIN, _DATA, "/config", "/theme.css", "/favicon.ico", f"{_API}/reset", f"{_API}/info",
    f"{_API}/startup-events", f"{_API}/cancel", f"{_API}/theme.css",
    f"{_API}/app_id",  # tells an open page that the server has restarted
}  # fmt: skip
_BELOW = ("/assets/", "/static/")
_SCRIPT = re.compile(rb"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
_OUTSIDE = re.compile(
    rb"<script[^>]*\ssrc=\"https?:[^>]*></script>|<(?:meta|link)[^>]*=\"https?:[^>]*>"
)
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval' {scripts}; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self' blob:; base-uri 'self'; form-action 'none'; "
    "frame-ancestors 'none'"
)  # gradio builds its `js=` handlers with new Function, hence 'unsafe-eval'


class PageApp:
    """An ASGI app for the paths that `has` accepts."""

    def __init__(
        self,
        app: ASGIApp,
        lifespan: AbstractAsyncContextManager[None],
        forget: Callable[[str], Awaitable[None]],
    ) -> None:
        """`forget(session)` frees everything that gradio holds for a session."""
        self._app = app
        self._sessions = Sessions(forget)
        self.lifespan = lifespan

    def has(self, path: str) -> bool:
        """Return True if the path is a page, or an asset or gradio route of the pages."""
        return path in _EXACT or (path.startswith(_BELOW) and ".." not in path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PAGES and scope["method"] == "GET":
            await self._page(scope, receive, send)
        elif scope["path"] == _JOIN:
            await self._join(scope, receive, send)
        elif scope["path"] == _DATA:
            await self._stream(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the messages of a session; a client that stops reading them counts as gone."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        session = query.get("session_hash", [""])[0]
        is_gone = False

        async def deliver(message: Message) -> None:
            nonlocal is_gone
            if is_gone:
                return
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await send(message)
                self._sessions.clear(session)
            except TimeoutError:
                is_gone = True
                self._sessions.give_up(session)

        async def arrive() -> Message:
            return {"type": "http.disconnect"} if is_gone else await receive()

        await self._app(scope, arrive, deliver)

    async def _join(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept an event. Its session is in the body, which is then replayed to gradio."""
        body = await Request(scope, receive).body()
        try:
            session = json.loads(body)["session_hash"]
        except (ValueError, KeyError, TypeError, RecursionError):
            session = None
        if not isinstance(session, str) or len(session) > MAX_SESSION_CHARS:
            await refusal("An event needs a session_hash.", 400)(scope, receive, send)
            return
        if not self._sessions.may_ask(session, len(body)):
            language = preferred(Headers(scope=scope).get("accept-language", ""))
            await refusal(say(language, "busy"), 429)(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send gradio's page without anything that it would load from other hosts."""
        parts: list[bytes] = []
        head: Message = {}

        async def keep(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = message
            else:
                parts.append(message.get("body", b""))

        # Uncompressed, since the page is edited here.
        plain = [(k, v) for k, v in scope["headers"] if k != b"accept-encoding"]
        await self._app({**scope, "headers": plain}, receive, keep)
        page = _OUTSIDE.sub(b"", b"".join(parts)).replace(b"<head>", b"<head>" + HEAD.encode(), 1)
        headers = MutableHeaders(raw=list(head["headers"]))
        del headers["content-length"]
        headers["content-security-policy"] = policy(page)
        headers["referrer-policy"] = "no-referrer"
        headers["cache-control"] = "no-store"
        response = Response(page, head["status"])
        response.raw_headers = [*headers.raw, (b"content-length", str(len(page)).encode())]
        await response(scope, receive, send)


def refusal(message: str, status: int) -> Response:
    """Return an error in the format that gradio's page shows to the reader."""
    return JSONResponse({"detail": message}, status)


def policy(page: bytes) -> str:
    """Return the page's Content-Security-Policy: only its own inline scripts run, by hash."""
    texts = [
        match["text"] for match in _SCRIPT.finditer(page) if b"src=" not in match["attributes"]
    ]
    hashes = sorted({base64.b64encode(hashlib.sha256(text).digest()).decode() for text in texts})
    return _POLICY.format(scripts=" ".join(f"'sha256-{digest}'" for digest in hashes))
