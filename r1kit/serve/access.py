"""ASGI middleware that checks every request before its body is parsed.

It is plain ASGI, since middleware that wraps requests hides client disconnects. The checks, in
order: the Host header (a web page can resolve its own name to 127.0.0.1: DNS rebinding,
CVE-2024-28224 in Ollama), the Origin header (a web page can send a POST here), the API key, the
size of the body. Only the routes on one list need no key.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r1kit.serve.api_error import ApiError, error_body
from r1kit.serve.limits import ServeLimits
from r1kit.serve.origins import Origins, granted, is_own, is_preflight, preflight
from r1kit.serve.wire import JsonResponse

OPEN_ROUTES = frozenset({"/health"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class AccessMiddleware:
    """Middleware around `app`, which gets no websockets.

    Any Host header passes if `hosts` is None, and no key is needed if there are no `keys`.
    `is_open` is True for paths beyond `OPEN_ROUTES` that need no key: those of the page.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ServeLimits,
        keys: Collection[str] = (),
        hosts: Collection[str] | None = LOOPBACK,
        origins: Origins | None = None,
        is_open: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.app = app
        self._limits = limits
        self._digests = [_digest(key) for key in keys]
        self._hosts = hosts
        self._origins = origins or Origins()
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            headers = Headers(scope=scope)
            await self._handle(scope, headers, receive, self._marked(send, headers))

    async def _handle(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        try:
            if scope["http_version"] != "1.0" or "host" in headers:  # browsers always send it
                self._check_host(headers)
            self._check_origin(headers)
            if is_preflight(scope["method"], headers):
                await Response(None, 204, preflight(headers))(scope, receive, send)
                return
            scope.setdefault("state", {})["owner"] = self._owner(scope["path"], headers)
            _check_encoding(headers)
            body = await _read_body(receive, headers, self._limits)
        except ApiError as error:
            response = JsonResponse(error_body(error, scope["path"]), error.status, error.headers)
            await response(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)

    def _marked(self, send: Send, headers: Headers) -> Send:
        """Return a `send` that adds the headers of every response."""
        extra_headers = {"x-content-type-options": "nosniff"}
        if (origin := headers.get("origin")) is not None and self._origins.has(origin):
            extra_headers |= granted(origin)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                out.update(extra_headers)
                out.add_vary_header("Origin")
            await send(message)

        return send_marked

    def _check_host(self, headers: Headers) -> None:
        host = _hostname(headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            raise ApiError(
                403, "The Host header names another machine; start with --allow-host to allow it."
            )

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None or is_own(origin, headers.get("host")) or self._origins.has(origin):
            return
        raise ApiError(
            403, "Pages of this origin are not allowed; start with --allow-origin to allow one."
        )

    def _owner(self, path: str, headers: Headers) -> str:
        """Return the digest of the client's key, "" if none is needed. Raises ApiError (401)."""
        if not self._digests or path in OPEN_ROUTES or self._is_open(path):
            return ""
        digest = self._matching(headers)
        if digest is None:
            raise ApiError(
                401,
                "The API key is missing or wrong; send Authorization: Bearer KEY or x-api-key: "
                "KEY.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return digest.hex()

    def _matching(self, headers: Headers) -> bytes | None:
        """Compare both headers with every key, in constant time and without an early exit."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        sent = [key.strip() if scheme.lower() == "bearer" else "", headers.get("x-api-key", "")]
        matches = [
            digest
            for sent_digest in map(_digest, sent)
            for digest in self._digests
            if hmac.compare_digest(sent_digest, digest)
        ]
        return matches[0] if matches else None


def _check_encoding(headers: Headers) -> None:
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise ApiError(
            415, "The body is compressed; send it as it is, without Content-Encoding.",
            headers={"x-should-retry": "false"},
        )  # fmt: skip


async def _read_body(receive: Receive, headers: Headers, limits: ServeLimits) -> bytes:
    """Read the whole body. Raises ApiError if it is too large (413) or takes too long (408)."""
    too_large = ApiError(413, f"The body is larger than {limits.max_body_bytes} bytes.")
    length = headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:20]) > limits.max_body_bytes:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            while (message := await receive())["type"] == "http.request":
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limits.max_body_bytes:
                    raise too_large
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise ApiError(
            408, "The body did not arrive in time.", headers={"x-should-retry": "false"}
        ) from None
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that replays the body once, then passes messages on (the disconnect)."""
    is_sent = False

    async def receive_again() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _hostname(host: str) -> str:
    """Return the host in lower case, without port and brackets; "" if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
