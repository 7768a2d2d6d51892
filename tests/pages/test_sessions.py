"""Events that nobody hears do not pile up."""

from typing import Any

import httpx

from r1kit.pages.sessions import MOST_PER_MINUTE, MOST_SESSIONS, MOST_UNHEARD, PATIENCE_S, Sessions


def test_who_does_not_listen_is_heard_a_few_times() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    assert [sessions.may_ask("a") for _ in range(MOST_UNHEARD + 2)] == [True] * MOST_UNHEARD + [
        False
    ] * 2
    with sessions.listening("a"):
        asked = [sessions.may_ask("a") for _ in range(MOST_PER_MINUTE)]
        assert sum(asked) == MOST_PER_MINUTE - MOST_UNHEARD
    now[0] = PATIENCE_S + 1
    assert sessions.may_ask("a")


def test_only_so_many_do_not_listen() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    for number in range(MOST_SESSIONS):
        assert sessions.may_ask(str(number))
    assert not sessions.may_ask("one more")
    with sessions.listening("0"):
        assert sessions.may_ask("one more")
    assert not sessions.may_ask("another")
    now[0] = PATIENCE_S + 1
    assert sessions.may_ask("another")


def test_two_streams_of_one_session_count_as_long_as_one_is_open() -> None:
    sessions = Sessions()
    with sessions.listening("a"):
        with sessions.listening("a"):
            pass
        assert all(sessions.may_ask("a") for _ in range(MOST_UNHEARD + 1))


def test_the_page_refuses_events_that_nobody_hears(scripted: Any) -> None:
    _, url = scripted
    config = httpx.get(f"{url}/config").json()
    assert config["run_history"] is False
    body = {"data": [], "fn_index": 10_000, "session_hash": "nobody-listens"}
    statuses = [
        httpx.post(f"{url}/gradio_api/queue/join", json=body).status_code
        for _ in range(MOST_UNHEARD + 3)
    ]
    assert statuses[-3:] == [429] * 3
    assert 429 not in statuses[:MOST_UNHEARD]
    for wrong in ({}, {"session_hash": 5}, {"session_hash": "x" * 65}, [], "x"):
        assert httpx.post(f"{url}/gradio_api/queue/join", json=wrong).status_code == 400
