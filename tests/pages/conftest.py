"""A real browser on the real pages, over an API that says what a test wants, piece by piece."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.types import ASGIApp

from r1kit.pages.site import open_page
from r1kit.serve import app
from r1kit.serve.server import listening
from tests.serve.conftest import LIMITS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Request

Body = dict[str, Any]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Api:
    """What the scripted API says, and what it was asked."""

    models: list[str] = field(default_factory=lambda: ["tiny"])
    capabilities: list[str] = field(default_factory=lambda: ["thinking", "thinking_budget"])
    thinking: list[str] = field(default_factory=lambda: ["try 4: ", "no. ", "wait, 5: ", "yes"])
    answer: list[str] = field(default_factory=lambda: ["x is ", "\\boxed{5}"])
    pause_s: float = 0.02
    asked: list[Body] = field(default_factory=list)
    n_left: int = 0
    """streams whose reader hung up"""
    key: str | None = None
    finish: str | None = "stop"
    """finish_reason; None breaks the stream off after the last piece"""

    def pieces(self, body: Body) -> Iterator[Body]:
        """Deltas of one answer: no thinking where it is off, or where its budget is used up."""
        thinks = body.get("thinking", {}) not in ({"type": "disabled"},)
        is_cut = "budget_tokens" in body.get("thinking", {})
        if thinks and not is_cut:
            yield from ({"content": None, "reasoning_content": text} for text in self.thinking)
        yield from ({"content": text} for text in self.answer)


class _Handler(BaseHTTPRequestHandler):
    api: Api

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        told = {"capabilities": self.api.capabilities}
        models = [{"id": name, "root": name, **told} for name in self.api.models]
        self._json(200, {"data": models} if self._may() else {"error": {"message": "no key"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._may():
            self._json(401, {"error": {"message": "The API key is missing or wrong."}})
            return
        self.api.asked.append(body)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            pieces = list(self.api.pieces(body))
            for delta in pieces:
                self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                time.sleep(self.api.pause_s)
            n_thinking = sum("reasoning_content" in piece for piece in pieces)
            usage = {"completion_tokens": len(pieces),
                     "completion_tokens_details": {"reasoning_tokens": n_thinking}}  # fmt: skip
            if self.api.finish is None:
                return
            last = {"index": 0, "delta": {}, "finish_reason": self.api.finish}
            self._event({"choices": [last]})
            self._event({"choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.api.n_left += 1

    def _may(self) -> bool:
        key = self.api.key
        return key is None or self.headers.get("authorization") == f"Bearer {key}"

    def _event(self, event: Body) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, status: int, body: Body) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


Upstream = tuple[type[_Handler], str]
"""the scripted API, and an address that leads to it"""


@contextlib.contextmanager
def serving(asgi: ASGIApp) -> Iterator[str]:
    listener = listening("127.0.0.1", 0)
    config = uvicorn.Config(asgi, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The scripted API, and its address."""
    handler = type("Handler", (_Handler,), {"api": Api()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def scripted(upstream: Upstream) -> Iterator[Upstream]:
    handler, address = upstream
    with serving(app.build([], LIMITS, page=open_page(address))) as url:
        yield handler, url


@pytest.fixture
def api(scripted: Upstream) -> Api:
    handler, _ = scripted
    handler.api = Api()
    return handler.api


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine; install Debian's package chromium")
    with playwright.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield one
        one.close()


Visit = Callable[..., "Page"]


@pytest.fixture
def visit(browser: Browser, scripted: Upstream) -> Iterator[Visit]:
    """Opens the page as somebody: `visit(locale="ko-KR")`. Fails if it reaches out or breaks."""
    _, url = scripted
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def refuse(dialog: Dialog) -> None:
        troubles.append("a dialog")
        dialog.dismiss()

    def open_as(address: str = url, wait: bool = True, **somebody: Any) -> Page:
        context: BrowserContext | None = somebody.pop("context", None)
        if context is None:
            context = browser.new_context(**{"locale": "en-US", **somebody})
            contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
        page.on("dialog", refuse)
        page.on("requestfinished", lambda asked: _note(asked, address, troubles))
        page.on("requestfailed", lambda asked: _note(asked, address, troubles))
        page.goto(address)
        if wait:
            page.wait_for_selector("html[data-ready]")
            page.wait_for_function("document.querySelector('#r1-model input').value !== ''")
        return page

    yield open_as
    for context in contexts:
        context.close()
    assert troubles == []


def _note(asked: Request, address: str, troubles: list[str]) -> None:
    """What the policy has blocked never left the browser; all else that went out is trouble."""
    if not asked.url.startswith((address, "data:", "blob:")) and asked.failure != "csp":
        troubles.append(f"asked for {asked.url} ({asked.failure})")
