"""A real browser on the real pages, over an API that says what a test wants, piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.types import ASGIApp

from r1kit.http.listener import listening
from r1kit.pages.site import open_page
from r1kit.serve import app
from tests.serve.conftest import LIMITS
from tests.servers import CrowdedServer

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
    capabilities: list[str] = field(
        default_factory=lambda: ["thinking", "thinking_budget", "prefix"]
    )
    thinking: list[str] = field(default_factory=lambda: ["try 4: ", "no. ", "wait, 5: ", "yes"])
    answer: list[str] = field(default_factory=lambda: ["x is ", "\\boxed{5}"])
    pause_s: float = 0.02
    requests: list[Body] = field(default_factory=list)
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
        api = self.api  # that of the test which asks, also when its reader leaves later
        api.requests.append(body)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            pieces = list(api.pieces(body))
            for delta in pieces:
                self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                time.sleep(api.pause_s)
            n_thinking = sum("reasoning_content" in piece for piece in pieces)
            usage = {"completion_tokens": len(pieces),
                     "completion_tokens_details": {"reasoning_tokens": n_thinking}}  # fmt: skip
            if api.finish is None:
                return
            last = {"index": 0, "delta": {}, "finish_reason": api.finish}
            self._event({"choices": [last]})
            self._event({"choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            api.n_left += 1

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
    server = CrowdedServer(("127.0.0.1", 0), handler)
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


@pytest.fixture(scope="session")
def chromium() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """A browser, and the loop of its driver, which runs in tests with a browser only."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine; install Debian's package chromium")
    driver = playwright.sync_playwright().start()
    launched = driver.chromium.launch(executable_path=path, args=FLAGS)
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)  # or no other test could run one in this thread
    yield launched, loop
    asyncio._set_running_loop(loop)
    launched.close()
    driver.stop()


@pytest.fixture
def browser(chromium: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    launched, loop = chromium
    asyncio._set_running_loop(loop)
    yield launched
    asyncio._set_running_loop(None)


Visit = Callable[..., "Page"]


class Tabs:
    """Tabs of one browser: one per kind of reader, which every test that uses it gets empty.

    A tab keeps only its cache: a page opens in a quarter of the time of a first visit.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: dict[str, Page] = {}
        self._lent: set[str] = set()
        self._closes: list[Callable[[], None]] = []

    def lend(self, origin: str, script: str, reader: dict[str, Any]) -> Page:
        """A tab of a reader whom the test has not met; a script runs before those of the page."""
        reader = {"locale": "en-US", **reader}
        name = repr(sorted(reader.items()))
        if script or name in self._lent:
            context = self._browser.new_context(**reader)
            self._closes.append(context.close)
            context.add_init_script(script)
            return context.new_page()
        if name not in self._kept:
            self._kept[name] = self._browser.new_context(**reader).new_page()
        self._lent.add(name)
        page = self._kept[name]
        page.goto(f"{origin}/health")  # a document of the origin without a script
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
        return page

    def beside(self, context: BrowserContext) -> Page:
        """Another tab of the same reader."""
        page = context.new_page()
        self._closes.append(page.close)
        return page

    def take_back(self) -> None:
        """Leave every page, and drop what a test has changed."""
        for close in self._closes:
            close()
        for name in self._lent:
            page = self._kept[name]
            page.unroute_all()
            page.emulate_media(color_scheme=None)
            page.mouse.move(0, 0)
            page.goto("about:blank")
        self._closes, self._lent = [], set()


@pytest.fixture(scope="session")
def tabs(chromium: tuple[Browser, asyncio.AbstractEventLoop]) -> Tabs:
    return Tabs(chromium[0])


@pytest.fixture
def visit(browser: Browser, tabs: Tabs, scripted: Upstream) -> Iterator[Visit]:
    """Opens the page as somebody: `visit(locale="ko-KR")`. Fails if it reaches out or breaks."""
    _, url = scripted
    troubles: list[str] = []
    listening: list[Callable[[], None]] = []

    def refuse(dialog: Dialog) -> None:
        troubles.append("a dialog")
        dialog.dismiss()

    def watch(page: Page, address: str) -> None:
        events: dict[str, Callable[[Any], None]] = {
            "pageerror": lambda error: troubles.append(f"script error: {error}"),
            "dialog": refuse,
            "requestfinished": lambda request: _note(request, address, troubles),
            "requestfailed": lambda request: _note(request, address, troubles),
        }
        for event, listener in events.items():
            page.on(event, listener)  # type: ignore[call-overload]
            listening.append(partial(page.remove_listener, event, listener))

    def open_as(
        address: str = url, wait: bool = True, context: BrowserContext | None = None,
        script: str = "", **reader: Any,
    ) -> Page:  # fmt: skip
        page = tabs.beside(context) if context else tabs.lend(url, script, reader)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        page.set_default_timeout(60_000)
        watch(page, address.partition("#")[0])
        page.goto(address)
        if wait:
            page.wait_for_selector("html[data-ready]")
            page.wait_for_function("document.querySelector('#r1-model input').value !== ''")
        return page

    yield open_as
    tabs.take_back()
    for stop in listening:
        stop()
    assert troubles == []


def _note(asked: Request, address: str, troubles: list[str]) -> None:
    """What the policy has blocked never left the browser; all else that went out is trouble."""
    if not asked.url.startswith((address, "data:", "blob:")) and asked.failure != "csp":
        troubles.append(f"asked for {asked.url} ({asked.failure})")
