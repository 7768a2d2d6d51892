"""What nobody fetches does not pile up, and nobody else is refused because of it."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import nullcontext

import httpx
import pytest
from starlette.types import Message as ASGIMessage
from starlette.types import Receive, Scope, Send

from r1kit.pages import page_app, sessions
from r1kit.pages.page_app import PageApp
from r1kit.pages.sessions import EVENT_BYTES, MAX_EVENTS, Sessions
from tests.pages.conftest import Api, Upstream, Visit
from tests.pages.test_chat_page import ask, is_idle


class Forgotten(list[str]):
    """Whom gradio was told to forget."""

    async def __call__(self, session: str) -> None:
        self.append(session)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that in 15 s"
        time.sleep(0.05)


def test_a_session_that_listens_may_ask_for_ever() -> None:
    async def check() -> None:
        accounts = Sessions(Forgotten())
        assert all(accounts.may_ask("a", 100) for _ in range(MAX_EVENTS))
        assert not accounts.may_ask("a", 100)
        assert accounts.may_ask("b", 100)
        accounts.clear("a")
        assert accounts.may_ask("a", 100)

    asyncio.run(check())


def test_one_session_may_not_ask_for_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_BYTES", 3 * EVENT_BYTES)

    async def check() -> None:
        accounts = Sessions(Forgotten())
        assert accounts.may_ask("a", EVENT_BYTES)
        assert not accounts.may_ask("a", EVENT_BYTES)
        accounts.clear("a")
        assert accounts.may_ask("a", EVENT_BYTES)

    asyncio.run(check())


def test_the_oldest_is_given_up_and_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_TOTAL_BYTES", 10 * EVENT_BYTES)
    forgotten = Forgotten()

    async def check() -> None:
        accounts = Sessions(forgotten)
        assert all(accounts.may_ask(f"flood {number}", 0) for number in range(25))
        assert accounts.may_ask("reader", 0)
        accounts.clear("reader")
        await asyncio.sleep(0)

    asyncio.run(check())
    assert forgotten == [f"flood {number}" for number in range(16)]


def test_a_session_that_never_listens_is_given_up() -> None:
    forgotten = Forgotten()

    async def check() -> None:
        accounts = Sessions(forgotten, patience_s=0.05)
        accounts.may_ask("silent", 0)
        accounts.may_ask("reader", 0)
        accounts.clear("reader")
        while not forgotten:
            await asyncio.sleep(0.01)

    asyncio.run(check())
    assert forgotten == ["silent"]


def test_who_stops_reading_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_app, "PATIENCE_S", 0.05)
    forgotten, seen = Forgotten(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for number in range(3):
            await send({"type": "http.response.body", "number": number})
        seen.append((await receive())["type"])

    async def stuck(message: ASGIMessage) -> None:
        if message["number"]:
            await asyncio.Event().wait()

    async def connected() -> ASGIMessage:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {"path": "/gradio_api/queue/data", "method": "GET", "query_string": b"session_hash=a"}

    async def check() -> None:
        page = PageApp(app, nullcontext(), forgotten)
        await page(scope, connected, stuck)
        await asyncio.sleep(0)

    asyncio.run(check())
    assert seen == ["http.disconnect"]
    assert forgotten == ["a"]


def test_what_is_refused_is_a_sentence(scripted: Upstream) -> None:
    _, url = scripted
    config = httpx.get(f"{url}/config").json()
    assert config["run_history"] is False
    assert config["connect_heartbeat"] is False  # it would take one of a browser's six connections
    join = f"{url}/gradio_api/queue/join"
    body = {"data": [], "fn_index": 10_000, "session_hash": "nobody-listens"}
    korean = {"Accept-Language": "ko-KR,ko;q=0.9"}
    asked = [httpx.post(join, json=body, headers=korean) for _ in range(MAX_EVENTS + 1)]
    assert 429 not in [answer.status_code for answer in asked[:-1]]
    assert asked[-1].status_code == 429
    assert "질문이 한꺼번에 너무 많이" in asked[-1].json()["detail"]
    wrong: object
    for wrong in ({}, {"session_hash": 5}, {"session_hash": "x" * 65}, [], "x"):
        refused = httpx.post(join, json=wrong)
        assert refused.status_code == 400
        assert refused.json()["detail"]


def test_the_page_shows_why_it_was_refused(visit: Visit, api: Api, scripted: Upstream) -> None:
    _, url = scripted
    page = visit()
    hashes: list[str] = []
    page.on("request", lambda one: hashes.extend([one.post_data] if one.post_data else []))
    ask(page, "first")
    page.wait_for_selector("#r1-chat .bot .katex")
    is_idle(page)
    session = next(json.loads(one)["session_hash"] for one in hashes if "session_hash" in one)
    page.wait_for_load_state("networkidle")
    body = {"data": [], "fn_index": 10_000, "session_hash": session}
    for _ in range(MAX_EVENTS):
        httpx.post(f"{url}/gradio_api/queue/join", json=body)
    ask(page, "second")
    page.wait_for_selector("text=Too many questions at once.")
    assert "Could not parse" not in page.inner_text("body")
    assert "second" in page.evaluate("r1.talk()")


def test_an_answer_that_nobody_fetches_ends(
    api: Api, scripted: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way through gradio: given up, the generation ends and its messages are gone."""
    _, url = scripted
    api.thinking, api.pause_s = ["hm "] * 2000, 0.02
    config = httpx.get(f"{url}/config").json()
    sends = next(
        one for one in config["dependencies"] if any(t[1] == "submit" for t in one["targets"])
    )
    talk = json.dumps({"id": "x", "round": 1, "turns": [{"role": "user", "content": "7"}]})
    monkeypatch.setattr(sessions, "MAX_TOTAL_BYTES", 2 * EVENT_BYTES)
    body = {"data": [talk, "tiny", True, "en", ""], "fn_index": sends["id"], "session_hash": "mute"}
    with httpx.Client() as client:
        client.post(f"{url}/gradio_api/queue/join", json=body).raise_for_status()
        eventually(lambda: len(api.requests) == 1)
        for number in range(3):
            other = body | {"data": ["", "tiny", True, "en", ""], "session_hash": f"other {number}"}
            client.post(f"{url}/gradio_api/queue/join", json=other).raise_for_status()
    eventually(lambda: api.n_left == 1)
