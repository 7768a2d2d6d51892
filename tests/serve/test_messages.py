"""`/v1/messages` and `count_tokens`, by Anthropic's own client."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from r1kit.serve.proxy import open_front
from tests.hostile import HALF, as_bytes
from tests.serve.conftest import LIMITS, Server, opened, running
from tests.serve.test_api import chunks
from tests.serve.test_refusals import counted, wait_for_count
from tests.serve.test_schema import POINT, check

QUESTION: Any = [{"role": "user", "content": "7x + 3 = 38"}]
SEED: dict[str, Any] = {"extra_body": {"seed": 5}}
FIELDS: dict[str, Any] = {"model": "tiny", "max_tokens": 40, "messages": QUESTION}
BUDGET: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 9}}
CLAUDE_CODE: dict[str, Any] = {
    "model": "deepseek-reasoner", "max_tokens": 30, "stream": True, "temperature": 1,
    "system": [
        {"type": "text", "text": "You are a coding agent.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be short."},
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "<reminder>x</reminder>"},
                                     {"type": "text", "text": "7x + 3 = 38",
                                      "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "abc"},
            {"type": "redacted_thinking", "data": "abc"},
            {"type": "text", "text": "x = 5"}]},
        {"role": "user", "content": "sure?"},
    ],
    "metadata": {"user_id": "user_1"}, "tools": [],
    "thinking": {"type": "enabled", "budget_tokens": 10},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}  # fmt: skip
"""the form of a coding agent's request"""


@pytest.fixture
def client(server: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as one:
        yield one


def content(message: Any) -> list[Any]:
    return [block.to_dict() for block in message.content]


def events(answer: httpx.Response) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = [part.split("\n") for part in answer.text.strip().split("\n\n")]
    assert all(len(part) == 2 and part[0].startswith("event: ") for part in parts)
    bodies = [json.loads(part[1].removeprefix("data: ")) for part in parts]
    assert [body["type"] for body in bodies] == [part[0].removeprefix("event: ") for part in parts]
    return bodies


@pytest.mark.parametrize("fields", [BUDGET, {"thinking": {"type": "disabled"}}])
def test_it_says_what_a_chat_says(
    client: anthropic.Anthropic, server: Server, fields: dict[str, Any]
) -> None:
    message = client.messages.create(**FIELDS, **fields, **SEED)
    chat = server.ask(max_tokens=40, **fields).json()
    expected, usage = chat["choices"][0]["message"], chat["usage"]
    blocks = {block.type: block for block in message.content}
    assert blocks["text"].text == expected["content"]
    assert ("thinking" in blocks) is (fields is BUDGET)
    if fields is BUDGET:
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert blocks["thinking"].thinking == expected["reasoning_content"]
        assert blocks["thinking"].signature
    assert (message.type, message.role, message.model) == ("message", "assistant", "tiny")
    assert message.stop_reason == "max_tokens"
    cached = message.usage.cache_read_input_tokens
    assert message.usage.input_tokens + cached == usage["prompt_tokens"]
    assert message.usage.output_tokens == usage["completion_tokens"] == 40
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert message.usage.output_tokens_details.thinking_tokens == thought


@pytest.mark.parametrize("fields", [BUDGET, {"thinking": {"type": "disabled"}}, {"max_tokens": 3}])
def test_streamed_it_is_the_same(client: anthropic.Anthropic, fields: dict[str, Any]) -> None:
    fields = {**FIELDS, **fields, **SEED}
    whole = client.messages.create(**fields)
    with client.messages.stream(**fields) as stream:
        for _ in stream:
            pass
        final = stream.get_final_message()
    assert [b.to_dict() for b in final.content] == [
        {**block, **({"parsed_output": None} if "parsed_output" in got else {})}
        for block, got in zip(content(whole), content(final), strict=True)
    ]
    assert (final.stop_reason, final.usage) == (whole.stop_reason, whole.usage)


def test_events_come_in_the_documented_order(server: Server) -> None:
    answer = server.client.post("/v1/messages", json={**FIELDS, **BUDGET, "stream": True})
    parts = events(answer)
    kinds = [part["type"] for part in parts]
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert parts[0]["message"]["content"] == []
    assert parts[0]["message"]["stop_reason"] is None
    assert parts[0]["message"]["usage"]["input_tokens"] > 0
    assert [p["content_block"]["type"] for p in parts if p["type"] == "content_block_start"] == [
        "thinking", "text"]  # fmt: skip
    inside = None
    for part in parts:
        if part["type"] == "content_block_start":
            assert inside is None
            inside = part["index"]
        elif part["type"] == "content_block_delta":
            assert part["index"] == inside
        elif part["type"] == "content_block_stop":
            assert part["index"] == inside
            inside = None
    deltas = [part["delta"]["type"] for part in parts if part["type"] == "content_block_delta"]
    assert deltas == sorted(deltas, key=["thinking_delta", "signature_delta", "text_delta"].index)
    assert deltas.count("signature_delta") == 1
    assert parts[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_sequence_is_named(client: anthropic.Anthropic, stream: bool) -> None:
    """Every character of the answer is tried, and a string that never occurs stands beside it."""
    fields = {**FIELDS, "thinking": {"type": "disabled"}, **SEED}
    text = client.messages.create(**fields).content[0].text
    for character in dict.fromkeys(text[:8]):
        stops = ["never this", character]
        if stream:
            with client.messages.stream(**fields, stop_sequences=stops) as parts:
                message: Any = parts.get_final_message()
        else:
            message = client.messages.create(**fields, stop_sequences=stops)
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", character)
        assert message.content[0].text == text.split(character)[0]


def test_an_end_of_its_own_is_an_end_of_turn(client: anthropic.Anthropic) -> None:
    form: Any = {"format": {"type": "json_schema", "schema": POINT}}
    message = client.messages.create(
        **{**FIELDS, "max_tokens": 200}, output_config=form, thinking={"type": "disabled"}
    )
    assert message.stop_reason == "end_turn"
    check(message.content[0].text)


def test_thinking_that_is_omitted_is_counted(client: anthropic.Anthropic) -> None:
    thinking: Any = {**BUDGET["thinking"], "display": "omitted"}
    message = client.messages.create(**FIELDS, thinking=thinking, **SEED)
    shown = client.messages.create(**FIELDS, **BUDGET, **SEED)
    assert content(message) == content(shown)[1:]
    assert message.usage.output_tokens_details == shown.usage.output_tokens_details


def test_an_agents_request_is_answered(server: Server) -> None:
    answer = server.client.post("/v1/messages?beta=true", json=CLAUDE_CODE)
    assert answer.status_code == 200, answer.text
    assert events(answer)[-1]["type"] == "message_stop"
    ignored = answer.headers["x-fields-without-effect"].split(", ")
    assert {"context_management", "metadata", "system[].cache_control"} <= set(ignored)
    fields = {key: CLAUDE_CODE[key] for key in ("model", "system", "messages", "thinking")}
    count = server.client.post("/v1/messages/count_tokens?beta=true", json=fields).json()
    assert list(count) == ["input_tokens"]
    usage = events(answer)[-2]["usage"]
    assert count["input_tokens"] == usage["input_tokens"] + usage["cache_read_input_tokens"]
    same = server.client.post("/v1/messages/count_tokens", json=CLAUDE_CODE).json()
    assert same == count


def test_a_conversation_goes_on_with_what_was_answered(client: anthropic.Anthropic) -> None:
    first = client.messages.create(**FIELDS, **BUDGET, **SEED)
    again: Any = [*QUESTION, first.to_param(), {"role": "user", "content": "sure?"}]
    text = first.content[-1].to_dict()["text"]
    plain: Any = [*QUESTION, {"role": "assistant", "content": text}, again[-1]]
    counts = [
        client.messages.count_tokens(model="tiny", messages=messages) for messages in (again, plain)
    ]
    assert counts[0] == counts[1], "thinking of past turns is dropped"


def test_consecutive_messages_are_one_turn_and_the_last_one_is_continued(server: Server) -> None:
    def ids(messages: list[Any], route: str = "/v1/messages/count_tokens") -> Any:
        body = {"model": "tiny", "messages": messages}
        return server.client.post(route, json=body).json()

    one = [{"role": "user", "content": "a\n\nb"}]
    two = [{"role": "user", "content": "a"}, {"role": "user", "content": [
        {"type": "text", "text": "b"}]}]  # fmt: skip
    assert ids(one) == ids(two)
    begun = [*QUESTION, {"role": "assistant", "content": "7x"}]
    body = {**FIELDS, "messages": begun, "seed": 5}
    message = server.client.post("/v1/messages", json=body).json()
    chat = server.ask(messages=begun, max_tokens=40).json()["choices"][0]["message"]
    assert message["content"][-1]["text"] == chat["content"]


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"model": "none"}, anthropic.NotFoundError, "model: "),
        ({"messages": []}, anthropic.BadRequestError, "messages: "),
        ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens: It must be at least 1."),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
         anthropic.BadRequestError, "tools: Only functions are supported"),
        ({"tools": [{"name": "f", "input_schema": {}}],
          "tool_choice": {"type": "tool", "name": "g"}},
         anthropic.BadRequestError, "tool_choice: tools has no such function"),
        ({"messages": [{"role": "user", "content": "x"},
                       {"role": "assistant", "content": [{"type": "tool_use", "input": {}}]}]},
         anthropic.BadRequestError, "A tool_use block needs the name of its tool"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
         anthropic.BadRequestError, "messages[0].content[0].type: Only text is supported"),
        ({"messages": [{"role": "user", "content": "x + 3 " * 900}]}, anthropic.BadRequestError,
         "prompt is too long: "),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "none"}}}},
         anthropic.BadRequestError, "output_config.format: "),
        ({"extra_body": {"max_token": 1}}, anthropic.BadRequestError,
         "There is no field max_token"),
        ({"extra_body": {"reasoning_effort": "low"}, "output_config": {"effort": "high"}},
         anthropic.BadRequestError, "output_config.effort: It contradicts reasoning_effort"),
    ],
)  # fmt: skip
def test_refusals_have_anthropics_form(
    client: anthropic.Anthropic, fields: dict[str, Any], error: Any, says: str
) -> None:
    with pytest.raises(error) as refused:
        client.messages.create(**{**FIELDS, **fields})
    body: Any = refused.value.body
    assert body["type"] == "error"
    assert body["error"].keys() == {"type", "message"}
    assert says in body["error"]["message"]
    assert refused.value.request_id.startswith("req_")
    kind = "not_found_error" if error is anthropic.NotFoundError else "invalid_request_error"
    assert body["error"]["type"] == kind


def test_either_header_has_the_key(folder: Path) -> None:
    with running([opened(folder)], keys=["one", "two"]) as server:
        post = server.client.post
        for headers in ({"x-api-key": "one"}, {"Authorization": "Bearer two"},
                        {"x-api-key": "one", "Authorization": "Bearer wrong"}):  # fmt: skip
            assert post("/v1/messages", json=FIELDS, headers=headers).status_code == 200
        for headers in ({}, {"x-api-key": "on"}, {"x-api-key": ""}, {"x-api-key": "Bearer one"}):
            for path in ("/v1/messages", "/messages/count_tokens"):
                refused = post(path, json=FIELDS, headers=headers)
                assert refused.status_code == 401
                assert refused.json()["error"]["type"] == "authentication_error"
                assert refused.json()["type"] == "error"


def test_every_refusal_of_a_message_is_counted(server: Server) -> None:
    before = {status: counted(server, status) for status in (400, 404, 413)}
    for content in (b"{", b"[]", as_bytes({**FIELDS, "system": HALF}), b" " * 3_000_001):
        answer = server.client.post(
            "/v1/messages", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.json()["type"] == "error"
    server.client.post("/beta/messages", json={**FIELDS, "model": "none"})
    wait_for_count(server, 400, before[400] + 3)
    wait_for_count(server, 404, before[404] + 1)
    wait_for_count(server, 413, before[413] + 1)


def test_an_error_in_the_middle_is_an_event(
    server: Server, client: anthropic.Anthropic, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: Any = server.one.engine_loop.engine
    step = engine.step
    left = [5]

    def fail() -> Any:
        left[0] -= 1
        if not left[0]:
            raise RuntimeError("as if by chance")
        return step()

    with monkeypatch.context() as patch:
        patch.setattr(engine, "step", fail)
        answer = server.client.post("/v1/messages", json={**FIELDS, "stream": True})
    last = events(answer)[-1]
    assert last["type"] == "error"
    assert last["error"]["type"] == "api_error"
    assert client.messages.create(**FIELDS).content


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_frees_the_engine(server: Server, stream: bool) -> None:
    body = json.dumps({**FIELDS, "max_tokens": 400, "stream": stream}).encode()
    host, port = server.url.removeprefix("http://").split(":")
    n_before = server.one.stats.n_completion_tokens
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/messages HTTP/1.1\r\nHost: {host}:{port}\r\n" \
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"  # fmt: skip
        connection.sendall(head.encode() + body)
        while not server.one.engine_loop.live and not server.one.stats.n_completion_tokens:
            pass
    server.wait_idle()
    assert server.one.stats.n_completion_tokens < n_before + 400


def test_in_front_says_what_behind_says(folder: Path) -> None:
    with running([opened(folder)]) as behind, running(
        open_front(f"{behind.url}/v1", None, LIMITS)
    ) as front:  # fmt: skip
        body = {**FIELDS, **BUDGET, "seed": 5}
        direct, through = (s.client.post("/v1/messages", json=body).json() for s in (behind, front))
        assert through["content"] == direct["content"]
        assert through["usage"]["output_tokens"] == direct["usage"]["output_tokens"]
        counts = [s.client.post("/v1/messages/count_tokens", json={
            "model": "tiny", "messages": QUESTION}).json() for s in (behind, front)]  # fmt: skip
        assert counts[0] == counts[1]
        text = direct["content"][-1]["text"]
        body["stop_sequences"] = ["never this", text[2]]
        for stream in (False, True):
            answer = front.client.post("/v1/messages", json={**body, "stream": stream})
            ending = events(answer)[-2]["delta"] if stream else answer.json()
            assert (ending["stop_reason"], ending["stop_sequence"]) == ("stop_sequence", text[2])


def test_models_are_listed_for_this_client_too(client: anthropic.Anthropic) -> None:
    models = list(client.models.list())
    assert [model.id for model in models][:2] == ["tiny", "deepseek-reasoner"]
    for model in models:
        assert (model.type, model.display_name) == ("model", model.id)
        assert client.models.retrieve(model.id).created_at == model.created_at


def test_chat_streams_have_no_pings(server: Server) -> None:
    assert chunks(server.ask(stream=True))
