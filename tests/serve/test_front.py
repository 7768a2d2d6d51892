"""`--engine URL`: our API in front of another server. Behind stand our own, and scripted ones."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from r1kit.errors import EngineError
from r1kit.serve.proxy import ProxyModel, open_front
from tests.serve.conftest import LIMITS, Server, opened, running
from tests.serve.test_api import chunks, joined
from tests.servers import Reply, Script, refusal, scripted

Event = dict[str, Any]


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[tuple[Server, Server]]:
    """A server of ours that wants a key, and one in front of it that wants none."""
    with running([opened(folder)], keys=["secret"]) as behind:
        behind.client.headers["Authorization"] = "Bearer secret"
        with running(open_front(f"{behind.url}/v1", "secret", LIMITS)) as before:
            yield behind, before


@contextmanager
def before(*replies: Reply | Script) -> Iterator[Server]:
    """In front of a server that says this."""
    script: Any = replies[0] if callable(replies[0]) else list(replies)
    with (
        scripted(script, ("tiny",)) as behind,
        running(open_front(behind.url, None, LIMITS)) as server,
    ):
        yield server


def streamed(*deltas: Event, finish: str | None = "stop", done: bool = True) -> Reply:
    """A stream of one completion, its usage last."""
    events: list[Event] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    if finish:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        usage = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
        events.append({"choices": [], "usage": usage})
    return as_stream(*events, done=done)


def as_stream(*events: Event, done: bool = True) -> Reply:
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    headers = {"Content-Type": "text/event-stream"}
    return Reply(body + ("data: [DONE]\n\n" if done else ""), headers=headers)


def test_in_front_says_what_behind_says(pair: tuple[Server, Server]) -> None:
    behind, front = pair
    for fields in ({}, {"thinking": {"type": "disabled"}}, {"n": 3, "temperature": 1}):
        direct, through = (item.ask(**fields).json() for item in (behind, front))
        assert [c["message"] for c in through["choices"]] == [
            c["message"] for c in direct["choices"]
        ]
        assert through["usage"]["completion_tokens"] == direct["usage"]["completion_tokens"]
        assert through["usage"]["prompt_tokens"] == direct["usage"]["prompt_tokens"]
        assert (
            through["usage"]["completion_tokens_details"]
            == direct["usage"]["completion_tokens_details"]
        )


def test_streamed_or_not_it_is_the_same(pair: tuple[Server, Server]) -> None:
    _, front = pair
    whole = front.ask(seed=3).json()["choices"][0]["message"]
    parts = chunks(front.ask(seed=3, stream=True))
    assert joined(parts, "reasoning_content") == whole["reasoning_content"]
    assert joined(parts, "content") == whole["content"]


def test_what_can_be_switched_is_told(pair: tuple[Server, Server], folder: Path) -> None:
    """Of a server that tells nothing, nothing is promised, and a budget is refused."""
    behind, front = pair
    actual = [item.client.get("/v1/models/tiny").json()["capabilities"] for item in (behind, front)]
    assert actual == [["thinking", "thinking_budget", "prefix"]] * 2
    budget = {"type": "enabled", "budget_tokens": 4}
    direct, through = (item.ask(thinking=budget).json()["choices"][0] for item in (behind, front))
    assert through["message"] == direct["message"]
    with before(streamed({"content": "5"})) as other:
        answer = other.ask(thinking=budget)
        assert answer.json()["error"]["param"] == "thinking.budget_tokens"
        assert other.client.get("/v1/models/tiny").json()["capabilities"] == []
    plain = opened(folder, chat_template=None)
    assert plain.describe("tiny")["capabilities"] == ["prefix"]


def test_all_its_models_are_listed_and_its_key_is_not_ours(pair: tuple[Server, Server]) -> None:
    _, front = pair
    names = {model["id"] for model in front.client.get("/v1/models").json()["data"]}
    assert {"tiny", "deepseek-reasoner", "deepseek-chat"} <= names
    assert "secret" not in front.client.get("/v1/models").text


def test_a_text_is_continued(pair: tuple[Server, Server]) -> None:
    behind, front = pair
    body = {"model": "tiny", "prompt": "7x + 3 =", "max_tokens": 9, "seed": 1}
    direct, through = (s.client.post("/v1/completions", json=body).json() for s in (behind, front))
    assert through["choices"][0]["text"] == direct["choices"][0]["text"]


def test_who_leaves_in_front_leaves_behind(pair: tuple[Server, Server]) -> None:
    behind, front = pair
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 400}
    with front.client.stream(
        "POST", "/v1/chat/completions", json={**body, "stream": True}
    ) as stream:
        next(stream.iter_lines())
    behind.wait_idle()
    assert all(model.stats.n_running == 0 for model in front.served)


FORMS = {
    "DeepSeek": ({"reasoning_content": "7 times"}, {"reasoning_content": " 5"}, {"content": "5"}),
    "vLLM": ({"reasoning": "7 times"}, {"reasoning": " 5"}, {"content": "5"}),
    "tags": ({"content": "<thi"}, {"content": "nk>7 times 5</th"}, {"content": "ink>5"}),
    "Mistral": (
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "7 times"}]}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": " 5"}]},
                     {"type": "text", "text": "5"}]},
    ),
    "OpenRouter": (
        {"content": "", "reasoning": "7 times", "reasoning_details": [
            {"type": "reasoning.text", "text": "7 times"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": " 5"},
                               {"type": "reasoning.encrypted", "data": "x"}]},
        {"content": "5"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [False, True])
def test_thinking_has_one_form(form: str, stream: bool) -> None:
    with before(streamed({"role": "assistant", "content": ""}, *FORMS[form])) as front:
        answer = front.ask(stream=stream)
        if stream:
            parts = chunks(answer)
            output = {key: joined(parts, key) for key in ("reasoning_content", "content")}
        else:
            output = answer.json()["choices"][0]["message"]
            # eight tokens, nine characters of thinking and one of the answer: 8 * 9 / 10
            usage = answer.json()["usage"]
            assert usage["completion_tokens_details"]["reasoning_tokens"] == 7
        assert (output["reasoning_content"], output["content"]) == ("7 times 5", "5")


def test_thinking_without_its_opening_tag_is_known_by_its_end() -> None:
    with before(streamed({"content": "7 times 5</th"}, {"content": "ink>5"})) as front:
        message = front.ask().json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("7 times 5", "5")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("upstream_finish", "ending"),
    [
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("insufficient_system_resource", "insufficient_system_resource"),
        ("model_length", "length"),
        ("eos", "stop"),
        ("something new", "stop"),
    ],
)
def test_how_it_ended_is_passed_on(upstream_finish: str, ending: str, stream: bool) -> None:
    with before(streamed({"content": "5"}, finish=upstream_finish)) as front:
        answer = front.ask(stream=stream)
        choice = (chunks(answer)[-1] if stream else answer.json())["choices"][0]
        assert choice["finish_reason"] == ending
        body = {"model": "tiny", "input": "hi"}
        response = front.client.post("/v1/responses", json=body).json()
        actual = {"stop": None, "length": {"reason": "max_output_tokens"}}
        assert response["incomplete_details"] == actual.get(ending, {"reason": ending})
        assert response["status"] == ("completed" if ending == "stop" else "incomplete")


CALL = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (streamed(CALL, finish="stop"), "calls a tool"),
        (streamed({"content": None}, finish="tool_calls"), "calls a tool"),
        (streamed({"content": "5"}, finish="abort"), "ended the answer (abort)"),
    ],
)
def test_an_end_that_is_none_is_an_error(reply: Reply, why: str, stream: bool) -> None:
    with before(reply) as front:
        answer = front.ask(stream=stream)
        error = (chunks(answer)[-1] if stream else answer.json())["error"]
        assert why in error["message"]
        assert answer.status_code == (200 if stream else 502)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PARTS = (
    {"content": "I look."},
    {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]},
    {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "f", "arguments": "{"}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
    {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]},
)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_passed_on_and_calls_come_back(stream: bool) -> None:
    bodies = []

    def script(_: int, body: Event) -> Reply:
        bodies.append(body)
        return streamed(*PARTS, finish="tool_calls")

    past = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "z", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
    result = {"role": "tool", "content": "5", "tool_call_id": "z"}
    user = {"role": "user", "content": "hi"}
    with before(script) as front:
        answer = front.ask(messages=[user, past, result], tools=[TOOL], tool_choice="required",
                           parallel_tool_calls=False, stream=stream)  # fmt: skip
    [body] = bodies
    assert body["messages"] == [user, past, result]
    assert body["tools"] == [TOOL]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body["parallel_tool_calls"] is False
    if stream:
        parts = chunks(answer)
        assert joined(parts, "content") == "I look."
        deltas = [call for part in parts for choice in part["choices"]
                  for call in choice["delta"].get("tool_calls", ())]  # fmt: skip
        assert [call["index"] for call in deltas] == [0, 0, 1, 1]
        assert [call["function"]["arguments"] for call in deltas] == ["", '{"x": 1}', "", "{}"]
        return
    [choice] = answer.json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    functions = [call["function"] for call in choice["message"]["tool_calls"]]
    assert functions == [{"name": "f", "arguments": '{"x": 1}'}, {"name": "f", "arguments": "{}"}]


def test_parameters_that_the_server_behind_may_know_reach_it() -> None:
    fields: dict[str, Any] = {
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "repetition_penalty": 1.2,
        "min_p": 0.1,
        "logit_bias": {"5": 2.0},
        "min_tokens": 3,
        "ignore_eos": True,
    }
    neutral: dict[str, Any] = dict.fromkeys(fields, 0) | {
        "repetition_penalty": 1,
        "logit_bias": {},
    }
    neutral["ignore_eos"] = False
    with (
        scripted([streamed({"content": "5"})], ("tiny",)) as behind,
        running(open_front(behind.url, None, LIMITS)) as front,
    ):
        for sent, expected in ((fields, fields), (neutral, {})):
            assert front.ask(**sent).status_code == 200
            body = behind.requests[-1]
            assert {name: body[name] for name in fields if name in body} == expected


def test_a_refusal_is_an_answer() -> None:
    with before(streamed({"content": None, "refusal": "I may not."})) as front:
        assert front.ask().json()["choices"][0]["message"]["content"] == "I may not."


@pytest.mark.parametrize(
    ("reply", "status", "message"),
    [
        (refusal(400, "temperature is too high"), 400, "temperature is too high"),
        (refusal(429, "slow down", Retry_After="7"), 429, "slow down"),
        (refusal(401, "wrong key"), 502, "HTTP 401"),
        (refusal(500, "out of memory"), 502, "out of memory"),
        (streamed({"content": "5"}, finish=None), 502, "ended too early"),
        (streamed({"content": "5"}, done=False), 502, "ended too early"),
        (as_stream({"error": {"message": "the engine died"}}), 502, "the engine died"),
        (as_stream({"choices": [{"index": 7, "delta": {}}]}), 502, "was not requested"),
        (Reply("data: {{{\n\n"), 502, "damaged"),
        (as_stream({"choices": [5], "usage": [1]}), 502, ""),
    ],
)
def test_what_goes_wrong_behind_is_an_error_of_ours(
    reply: Reply, status: int, message: str
) -> None:
    with before(reply) as front:
        answer = front.ask()
        assert answer.status_code == status
        assert message in answer.json()["error"]["message"]
        if status == 429:
            assert answer.headers["Retry-After"] == "7"
        assert all(model.stats.n_running + model.stats.n_waiting == 0 for model in front.served)


def test_a_stream_that_breaks_ends_in_an_error_event() -> None:
    with before(streamed({"content": "5"}, finish=None), streamed({"content": "6"})) as front:
        *_, last = chunks(front.ask(stream=True))
        assert "ended too early" in last["error"]["message"]
        assert front.ask().json()["choices"][0]["message"]["content"] == "6"


def test_a_server_that_goes_is_said_to_be_gone_and_may_come_back(folder: Path) -> None:
    with running([opened(folder)]) as behind:
        models = open_front(f"{behind.url}/v1", None, LIMITS)
        port = int(behind.url.rsplit(":", 1)[1])
    with running(models) as front:
        answer = front.ask()
        assert (answer.status_code, "cannot be reached" in answer.json()["error"]["message"]) == (
            503,
            True,
        )
        assert front.client.get("/health").status_code == 503
        with socket.create_server(("127.0.0.1", port)):
            pass  # free again
        with scripted([streamed({"content": "5"})], ("tiny",)) as other:
            model = models[0]
            assert isinstance(model, ProxyModel)
            model._client.base_url = httpx.URL(other.url)
            assert front.ask().status_code == 200
            assert front.client.get("/health").status_code == 200


def test_what_is_no_server_is_refused_in_a_sentence() -> None:
    with pytest.raises(EngineError, match="gave no answer"):
        open_front("http://127.0.0.1:9/v1", None, LIMITS)
    with scripted([Reply("x")], ()) as empty, pytest.raises(EngineError, match="no model"):
        open_front(empty.url, None, LIMITS)
