"""Asking a server: our own, and one that misbehaves in every way a script can."""

import email.utils
import socket
import time
from typing import Any

import pytest

from r1kit.engines.openai.endpoint import CompletionsOrError, Endpoint, EndpointRequest
from r1kit.errors import ConfigError, EngineError
from r1kit.http.client import RefusedError
from r1kit.renderers.thinking import parse
from r1kit.types import Message, SamplingParams
from tests.serve.conftest import Server
from tests.servers import Body, Reply, refusal, said, scripted

QUESTION = (Message("user", "7x + 3 = 38"),)
SAMPLING = SamplingParams(24)
KEY = "sk-secret-0123"


@pytest.fixture
def waits() -> list[float]:
    return []


def asking(url: str, waits: list[float], **options: Any) -> Endpoint:
    settings: dict[str, Any] = {"model": "m", "sleep": waits.append, "timeout_s": 20.0} | options
    return Endpoint(url, **settings)


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


# Our own server


def test_our_server_is_understood(server: Server) -> None:
    with Endpoint(f"{server.url}/v1/") as endpoint:
        assert endpoint.model == "tiny"  # its aliases are no other models
        [completion] = endpoint.complete(QUESTION, SAMPLING, seed=5)
        [again] = endpoint.complete(QUESTION, SAMPLING, seed=5)
        counters = endpoint.counters
    body = server.ask(temperature=1.0, top_p=1.0).json()
    message = body["choices"][0]["message"]
    assert completion == again
    assert (completion.token_ids, completion.logprobs, completion.finish) == ([], [], "length")
    assert message["content"] == ""
    assert completion.text == f"<think>{message['reasoning_content']}"
    assert counters.completion_tokens == 48
    assert counters.prompt_tokens == 2 * body["usage"]["prompt_tokens"]


def test_an_answer_of_our_server_parses_back(server: Server) -> None:
    with Endpoint(server.url, "deepseek-chat") as endpoint:
        [plain] = endpoint.complete(QUESTION, SAMPLING, seed=5)
    body = server.ask(model="deepseek-chat", temperature=1.0, top_p=1.0).json()
    assert plain.text == body["choices"][0]["message"]["content"]


def test_more_completions_than_the_server_gives_at_once(server: Server) -> None:
    with Endpoint(f"{server.url}/v1", "tiny") as endpoint:
        three = endpoint.complete(QUESTION, SAMPLING, seed=5, n=3)
        nine = endpoint.complete(QUESTION, SAMPLING, seed=5, n=9)
    assert len({completion.text for completion in three}) == 3
    assert len({completion.text for completion in nine}) == 9
    assert nine[0] == three[0]


def test_our_server_refuses_in_its_own_words(server: Server) -> None:
    with Endpoint(server.url, "other") as endpoint, pytest.raises(EngineError) as error:
        endpoint.complete(QUESTION, SAMPLING, seed=5)
    assert "There is no such model here; /v1/models lists " in str(error.value)
    long = (Message("user", "7x + 3 = 38 " * 200),)
    with (
        Endpoint(server.url, "tiny") as endpoint,
        pytest.raises(RefusedError, match="maximum context length is 512"),
    ):
        endpoint.complete(long, SAMPLING, seed=5, n=2)


# What is asked, and what comes back


def test_the_request_says_what_matters_and_no_more(waits: list[float]) -> None:
    with scripted([said("5")]) as server, asking(server.url, waits, api_key=KEY) as endpoint:
        past = (
            Message("system", "be brief"),
            *QUESTION,
            Message("assistant", "5", "hm"),
            *QUESTION,
        )
        endpoint.complete(past, SamplingParams(9, 0.5, 0.9), seed=3)
        endpoint.complete(QUESTION, SamplingParams(9, top_k=7, stop=("!",)), seed=3, n=1)
    [first, second] = server.requests
    turns = [{"role": m.role, "content": m.content} for m in past]
    assert first == {"model": "m", "messages": turns, "max_tokens": 9, "temperature": 0.5,
                     "top_p": 0.9, "seed": 3}  # fmt: skip
    assert (second["top_k"], second["stop"]) == (7, ["!"])
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("reply", "text", "finish"),
    [
        (said("5", reasoning_content="try"), "<think>try</think>5", "stop"),
        (said("5", reasoning="try"), "<think>try</think>5", "stop"),
        (said("<think>try</think>5"), "<think>try</think>5", "stop"),
        (said("try</think>5", reasoning_content=None), "<think>try</think>5", "stop"),
        (said("<think>try</think>5", reasoning=""), "<think>try</think>5", "stop"),
        (said("5", reasoning_content=""), "5", "stop"),
        (said("5", "length"), "5", "length"),
        (said("", "length", reasoning_content="tr"), "<think>tr", "length"),
        (said(None, "content_filter"), "", "abort"),
        (said("5", None), "5", "abort"),
        (said("5", "eos_token"), "5", "stop"),
        (said([{"type": "text", "text": "5"}, {"type": "text", "text": "!"}]), "5!", "stop"),  # type: ignore[arg-type]
        (said([{"type": "thinking", "thinking": [{"type": "text", "text": "try"}]},  # type: ignore[arg-type]
               {"type": "text", "text": "5"}]), "<think>try</think>5", "stop"),
        (said("5", reasoning_details=[{"type": "reasoning.text", "text": "try"}]),
         "<think>try</think>5", "stop"),
        (said(None, refusal="no"), "no", "stop"),
        (said("5\ud800", reasoning={"no": "text"}), "5\N{REPLACEMENT CHARACTER}", "stop"),
    ],
)  # fmt: skip
def test_every_dialect_becomes_one_text(
    reply: Reply, text: str, finish: str, waits: list[float]
) -> None:
    with scripted([reply]) as server, asking(server.url, waits) as endpoint:
        [completion] = endpoint.complete(QUESTION, SAMPLING, 0)
    assert (completion.text, completion.finish) == (text, finish)
    completion.text.encode()


@pytest.mark.parametrize(
    ("reasoning", "content"), [("a</think>b", "5"), ("a", "5</think>6"), ("a", "<think>b</think>5")]
)
def test_tags_inside_parts_are_not_well_formed_and_crash_nothing(
    reasoning: str, content: str, waits: list[float]
) -> None:
    reply = said(content, reasoning_content=reasoning)
    with scripted([reply]) as server, asking(server.url, waits) as endpoint:
        [completion] = endpoint.complete(QUESTION, SAMPLING, 0)
    assert not parse(completion.text).well_formed


@pytest.mark.parametrize("first", [refusal(400, "n must be 1"), said("0")])
def test_a_server_without_n_is_asked_one_by_one(first: Reply, waits: list[float]) -> None:
    def script(index: int, body: Body) -> Reply:
        return first if "n" in body else said(str(body["seed"]))

    with scripted(script) as server, asking(server.url, waits) as endpoint:
        texts = [completion.text for completion in endpoint.complete(QUESTION, SAMPLING, 10, n=3)]
        endpoint.complete(QUESTION, SAMPLING, 10, n=3)
    assert texts[1:] == ["11", "12"]
    assert texts[0] == ("10" if first.status == 400 else "0")
    assert sum("n" in body for body in server.requests) == 1


# Servers in trouble


def test_trouble_that_passes_is_waited_for(waits: list[float]) -> None:
    replies = [Reply("", 503), refusal(500, "boom"), Reply('{"choices": [', 200), said("5")]
    with scripted(replies) as server, asking(server.url, waits) as endpoint:
        [completion] = endpoint.complete(QUESTION, SAMPLING, 0)
    assert completion.text == "5"
    assert waits == [0.5, 1.0, 2.0]
    assert len(server.requests) == 4


def test_a_wait_the_server_names_is_obeyed_within_a_minute(waits: list[float]) -> None:
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    replies = [
        refusal(429, "slow", Retry_After=requests) for requests in ("2", "9999", soon, "later")
    ]
    with scripted([*replies, said("5")]) as server, asking(server.url, waits) as endpoint:
        endpoint.complete(QUESTION, SAMPLING, 0)
    assert waits[:2] == [2.0, 60.0]
    assert 20 < waits[2] <= 30
    assert waits[3] == 4.0


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (refusal(500, "out of memory"), "HTTP 500: out of memory"),
        (Reply("<html>", 502, {"Content-Type": "text/html"}), "HTTP 502: Bad Gateway"),
        (Reply({"error": {"message": "overloaded"}}), "overloaded"),
        (Reply({"choices": []}), "an answer without choices"),
        (Reply({"choices": [7]}), "a choice without a message"),
        (Reply("[" * 100_000), "damaged JSON"),
        (Reply([1]), "an answer without choices"),
    ],
)
def test_trouble_that_stays_is_told_after_the_last_try(
    reply: Reply, expected: str, waits: list[float]
) -> None:
    with (
        scripted([reply]) as server,
        asking(server.url, waits, retries=2) as endpoint,
        pytest.raises(EngineError) as failure,
    ):
        endpoint.complete(QUESTION, SAMPLING, 0)
    assert f"The server at {server.url} gave no answer in 3 tries ({expected})" in str(
        failure.value
    )
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (refusal(401, f"wrong key {KEY}"), r"refuses \(HTTP 401\): wrong key \*\*\*. Give the key"),
        (refusal(404, "no model"), "no model. See whether the address is right"),
        (refusal(504, "too long", x_should_retry="false"), "HTTP 504"),
        (Reply("<html>", 200, {"Content-Type": "text/html"}), "text/html in place of JSON"),
        (Reply({"detail": "moved"}, 301, {"Location": "/x"}), "HTTP 301"),
    ],
)
def test_trouble_that_will_not_pass_is_told_at_once(
    reply: Reply, expected: str, waits: list[float]
) -> None:
    with (
        scripted([reply]) as server,
        asking(server.url, waits, api_key=KEY) as endpoint,
        pytest.raises(EngineError, match=expected) as failure,
    ):
        endpoint.complete(QUESTION, SAMPLING, 0)
    assert len(server.requests) == 1
    assert KEY not in f"{failure.value}{endpoint!r}{endpoint._client!r}"


@pytest.mark.parametrize("reply", [Reply(after_s=60), Reply({}, blanks=600)])
def test_a_server_that_hangs_is_left(reply: Reply, waits: list[float]) -> None:
    started = time.monotonic()
    with (
        scripted([reply]) as server,
        asking(server.url, waits, timeout_s=0.3, retries=1) as endpoint,
        pytest.raises(EngineError, match=r"no answer in 2 tries \(nothing.* within 0.3 s\)"),
    ):
        endpoint.complete(QUESTION, SAMPLING, 0)
    assert time.monotonic() - started < 5


def test_nobody_listens(waits: list[float]) -> None:
    url = closed_port()
    with asking(url, waits, retries=1) as endpoint, pytest.raises(EngineError) as failure:
        endpoint.complete(QUESTION, SAMPLING, 0)
    assert str(failure.value).startswith(f"The server at {url} gave no answer in 2 tries (")
    assert "refused" in str(failure.value)


def test_several_models_are_named(waits: list[float]) -> None:
    with (
        scripted([said("5")], models=("a", "b")) as server,
        asking(server.url, waits, model=None) as endpoint,
        pytest.raises(EngineError, match=r"several models \(a, b\); name one"),
    ):
        endpoint.complete(QUESTION, SAMPLING, 0)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("127.0.0.1:8000", None),
        ("http://", None),
        (f"http://me:{KEY}@host/v1", None),
        (f"https://host/v1?key={KEY}", None),
        ("http://host/v1", f"{KEY}\nX: y"),
        ("http://host/v1", f"{KEY}é"),
    ],
)
def test_an_address_and_a_key_must_be_possible(url: str, key: str | None) -> None:
    with pytest.raises(ConfigError) as failure:
        Endpoint(url, "m", key)
    assert KEY not in str(failure.value)


def test_the_route_may_stand_in_the_address(waits: list[float]) -> None:
    with (
        scripted([said("5")]) as server,
        asking(f"{server.url}/chat/completions", waits) as endpoint,
    ):
        assert endpoint.address == server.url


# Many at once


def test_many_are_asked_at_once_and_answered_in_order(waits: list[float]) -> None:
    def script(index: int, body: Body) -> Reply:
        refused = refusal(400, "too long")
        reply = said(str(body["seed"]))
        return refused if body["seed"] == 4 else Reply(reply.body, after_s=0.02 * (index % 3))

    requests = [EndpointRequest(QUESTION, SAMPLING, seed) for seed in range(12)]
    observed: dict[int, CompletionsOrError] = {}
    with scripted(script) as server, asking(server.url, waits, concurrency=3) as endpoint:
        answers = endpoint.complete_many(requests, observed.__setitem__)
        assert endpoint.complete_many([]) == []
    texts = [a if isinstance(a, EngineError) else a[0].text for a in answers]
    assert isinstance(texts.pop(4), RefusedError)
    assert texts == [str(seed) for seed in range(12) if seed != 4]
    assert observed == dict(enumerate(answers))
    assert 1 < server.most_at_once <= 3


def test_a_server_that_is_gone_is_not_asked_a_hundred_times(waits: list[float]) -> None:
    requests = [EndpointRequest(QUESTION, SAMPLING, seed) for seed in range(100)]
    with (
        scripted([refusal(500, "gone")]) as server,
        asking(server.url, waits, retries=0, concurrency=2) as endpoint,
    ):
        answers = endpoint.complete_many(requests)
    assert all(isinstance(answer, EngineError) for answer in answers)
    assert len(answers) == 100
    assert 4 <= len(server.requests) <= 6


def test_no_model_is_told_once_for_all(waits: list[float]) -> None:
    endpoint = asking(closed_port(), waits, model=None, retries=1)
    answers = endpoint.complete_many(
        [EndpointRequest(QUESTION, SAMPLING, seed) for seed in range(9)]
    )
    assert {str(answer) for answer in answers} == {str(answers[0])}
    assert waits == [0.5]
    endpoint.close()


def test_a_bug_is_not_swallowed_by_a_thread(waits: list[float]) -> None:
    with asking(closed_port(), waits) as endpoint, pytest.raises(AttributeError):
        endpoint.complete_many([EndpointRequest(QUESTION, None, 0)])  # type: ignore[arg-type]
