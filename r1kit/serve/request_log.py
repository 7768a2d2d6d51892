"""ASGI middleware that gives every request an id and logs how it ended.

It is plain ASGI, as access.py is. Query strings and bodies are never logged.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r1kit.serve.api_error import GONE, is_anthropic

_SANE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

log = logging.getLogger("r1kit.serve")


class RequestLogMiddleware:
    """Middleware around `app`.

    `on_end` is called with the method, path and status of every finished request. That status
    describes how the request ended, even if another one was sent before (`outcome` in the scope's
    state).
    """

    def __init__(self, app: ASGIApp, on_end: Callable[[str, str, int], None]) -> None:
        self.app = app
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.monotonic(), 0
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                name = "request-id" if is_anthropic(scope["path"]) else "x-request-id"
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = headers[name] = request_id
                headers["openai-processing-ms"] = str(round(1000 * (time.monotonic() - start)))
            await send(message)

        try:
            await self.app(scope, receive, send_named)
        except Exception as error:
            state.setdefault("outcome", 500)
            if not status:
                raise  # uvicorn responds with 500 and logs the error
            log.error("something unexpected happened", exc_info=error)
        finally:
            outcome = state.get("outcome", status or GONE)
            self._on_end(scope["method"], scope["path"], outcome)
            statuses = f"{status}, then {outcome}" if status not in (0, outcome) else str(outcome)
            path = scope["path"].encode("unicode_escape").decode()
            seconds = time.monotonic() - start
            log.info("%s %.200s %s %.3f s %s", scope["method"], path, statuses, seconds, request_id)


def _request_id(scope: Scope) -> str:
    """Return the client's id for the request, or a new one if it sent none that can be logged."""
    request_id = Headers(scope=scope).get("x-request-id", "")
    return request_id if _SANE_ID.fullmatch(request_id) else f"req_{uuid.uuid4().hex}"
