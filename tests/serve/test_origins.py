"""Pages of origins that are allowed ask in a real browser; all others are kept out."""

import functools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import ConfigError
from r1kit.serve.origins import Origins
from r1kit.serve.server import refuse_exposure
from tests.pages.conftest import browser, chromium  # noqa: F401
from tests.serve.conftest import Server, opened, running

APPS = ("app://obsidian.md", "file://", "tauri://localhost", "vscode-webview://1a2b",
        "vscode-file://vscode-app")  # fmt: skip
PAGES = ("null", "https://evil.example", "http://localhost:8401", "http://127.0.0.1:5173",
         "chrome-extension://jfgfiigpkhlkbnfnbobbkinehhfdhndo", "http://tauri.localhost",
         "app:evil", "https://app://x", "", "file:", "vscode-webview.example")  # fmt: skip


def test_programs_may_ask_and_pages_need_leave() -> None:
    nobody = Origins()
    assert [item for item in (*APPS, *PAGES) if nobody.has(item)] == list(APPS)
    assert not nobody.are_everybody


@pytest.mark.parametrize(
    ("origin", "has", "has_not"),
    [
        ("https://Ok.example/", ["https://ok.example"],
         ["http://ok.example", "https://ok.example.evil.example", "https://ok.example:8443",
          "https://okxexample"]),
        ("https://ok.example:443", ["https://ok.example"], ["https://ok.example:8443"]),
        ("http://localhost:*", ["http://localhost:5173", "http://localhost:80"],
         ["http://localhost.evil.example", "https://localhost:5173"]),
        ("https://*.ok.example", ["https://a.ok.example", "https://a.b.ok.example"],
         ["https://ok.example", "https://evil.example/.ok.example"]),
        ("chrome-extension://*", ["chrome-extension://jfgfiigpk"], ["https://jfgfiigpk"]),
        ("null", ["null"], ["https://ok.example"]),
        ("*", [*APPS, *PAGES], []),
    ],
)  # fmt: skip
def test_what_an_origin_stands_for(origin: str, has: list[str], has_not: list[str]) -> None:
    allowed = Origins([origin])
    assert all(map(allowed.has, has))
    assert not any(map(allowed.has, has_not))


@pytest.mark.parametrize(
    "origin",
    ["", "ok.example", "https://", "https://ok.example/chat", "https://a@ok.example", "://x"],
)
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ConfigError, match="An origin is"):
        Origins([origin])


@pytest.mark.parametrize("origin", ["*", "null", "https://*"])
def test_all_pages_of_the_web_need_a_key(origin: str) -> None:
    with pytest.raises(ConfigError, match="every web page"):
        refuse_exposure("127.0.0.1", [], False, Origins([origin]))
    refuse_exposure("127.0.0.1", ["key"], False, Origins([origin]))
    refuse_exposure("127.0.0.1", [], True, Origins([origin]))
    refuse_exposure("127.0.0.1", [], False, Origins(["http://localhost:*"]))


PREFLIGHT = {"Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
             "Access-Control-Request-Private-Network": "true"}  # fmt: skip


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Server]:
    with running([opened(folder)], keys=["key"], origins=["https://ok.example"]) as server:
        yield server


@pytest.mark.parametrize("origin", ["https://ok.example", *APPS])
def test_a_browser_is_told_what_it_needs(guarded: Server, origin: str) -> None:
    headers = {"Origin": origin, **PREFLIGHT}
    actual = guarded.client.options("/v1/chat/completions", headers=headers)
    assert (actual.status_code, actual.content) == (204, b"")
    assert actual.headers["access-control-allow-origin"] == origin
    assert (
        actual.headers["access-control-allow-headers"] == headers["Access-Control-Request-Headers"]
    )
    assert "POST" in actual.headers["access-control-allow-methods"]
    assert actual.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-credentials" not in actual.headers
    for key, status in (("key", 200), ("wrong", 401)):
        headers = {"Origin": origin, "Authorization": f"Bearer {key}"}
        answer = guarded.client.get("/v1/models", headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_all_else_stays_shut(guarded: Server, origin: str) -> None:
    key = {"Origin": origin, "Authorization": "Bearer key"}
    for answer in (
        guarded.client.options("/v1/chat/completions", headers={"Origin": origin, **PREFLIGHT}),
        guarded.client.get("/v1/models", headers=key),
        guarded.client.get("/health", headers=key),
    ):
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
    # who asks for no leave gets none, and an OPTIONS that is no preflight needs the key
    assert guarded.client.options("/v1/models", headers=PREFLIGHT).status_code == 401


ASK = """async ([url, key, stream]) => {
  try {
    const answer = await fetch(url + "/v1/chat/completions", {
      method: "POST",
      headers: {"Authorization": "Bearer " + key, "Content-Type": "application/json"},
      body: JSON.stringify({model: "tiny", stream, max_tokens: 5,
                            messages: [{role: "user", content: "hi"}]}),
    });
    return [answer.status, answer.headers.get("x-request-id") !== null, await answer.text()];
  } catch (error) { return [0, false, String(error)]; }
}"""


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>a page</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[list[str]]:
    """Two origins."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Blank) for _ in range(2)]
    for item in servers:
        threading.Thread(target=functools.partial(item.serve_forever, 0.01), daemon=True).start()
    yield [f"http://127.0.0.1:{item.server_address[1]}" for item in servers]
    for item in servers:
        item.shutdown()
        item.server_close()


def test_a_page_asks_in_a_real_browser(browser: Any, pages: list[str], folder: Path) -> None:  # noqa: F811
    allowed, other = pages
    with running([opened(folder)], keys=["key"], origins=[allowed]) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(allowed)
        status, has_id, text = page.evaluate(ASK, [server.url, "key", False])
        assert (status, has_id) == (200, True), text
        status, _, text = page.evaluate(ASK, [server.url, "key", True])
        assert status == 200
        assert text.endswith("data: [DONE]\n\n")
        status, _, text = page.evaluate(ASK, [server.url, "wrong", False])
        assert status == 401
        assert "The API key is missing or wrong" in text
        page.goto(other)
        status, _, text = page.evaluate(ASK, [server.url, "key", False])
        assert status == 0
        assert "Failed to fetch" in text
        context.close()
    assert server.one.stats.n_completion_tokens == 10
