"""What nobody means, in every field of every route: a 4xx or an answer, never a 500 or a cut."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1kit.serve.proxy import open_front
from tests.hostile import HALF, as_bytes, nested, spoilt, values
from tests.serve.conftest import LIMITS, Server, running
from tests.servers import Reply, scripted

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "title": "t"}
MESSAGES = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "n"},
    {"role": "assistant", "content": "5", "reasoning_content": "hm", "refusal": "no"},
    {"role": "user", "content": "x?"},
]
SHARED = {"model": "tiny", "stop": ["x"], "seed": 1, "top_k": 5, "temperature": 1.0, "top_p": 0.9,
          "user": "u", "stream": False}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        **SHARED, "messages": MESSAGES, "max_tokens": 3, "n": 1, "metadata": {"a": "b"},
        "reasoning_effort": "low", "thinking": {"type": "enabled", "budget_tokens": 1},
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "p", "description": "d", "schema": SCHEMA}},
        "service_tier": "s", "prompt_cache_key": "k", "safety_identifier": "i",
    },
    "/v1/completions": {**SHARED, "prompt": "7x + 3", "max_tokens": 3, "logprobs": 1},
    "/v1/responses": {
        **SHARED, "instructions": "be brief", "max_output_tokens": 3, "metadata": {"a": "b"},
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi", "annotations": []}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": [
                {"type": "reasoning_text", "text": "hm"}]},
            {"role": "user", "content": "x?", "id": "msg_1", "status": "s", "phase": "p"},
        ],
        "reasoning": {"effort": "low", "summary": "auto"}, "include": ["x"],
        "text": {"format": {"type": "text", "name": "p", "schema": SCHEMA, "description": "d"},
                 "verbosity": "low"},
        "thinking": {"type": "enabled", "budget_tokens": 1}, "prompt_cache_retention": "24h",
    },
    "/v1/messages": {
        "model": "tiny", "max_tokens": 3, "stop_sequences": ["x"], "seed": 1, "top_k": 5,
        "temperature": 1.0, "top_p": 0.9, "stream": False, "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "citations": []}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"}, {"type": "text", "text": "5"}]},
            {"role": "user", "content": "x?"},
        ],
        "thinking": {"type": "enabled", "budget_tokens": 1, "display": "summarized"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "tool_choice": {"type": "auto"}, "context_management": {"edits": []}, "speed": "standard",
    },
    "/v1/tokenize": {"model": "tiny", "messages": MESSAGES, "return_token_strs": True,
                     "chat_template_kwargs": {"enable_thinking": True}, "user": "u"},
    "/v1/detokenize": {"model": "tiny", "tokens": [0, 1, 2, 300], "user": "u"},
}  # fmt: skip
KINDLY = settings(database=None, derandomize=True, suppress_health_check=list(HealthCheck))


def ask(server: Server, route: str, data: bytes) -> httpx.Response:
    """A body that ends too early is an error of httpx."""
    headers = {"Content-Type": "application/json"}
    return server.client.post(route, content=data, headers=headers)


def check(answer: httpx.Response) -> None:
    """A whole answer, or a refusal that says something; a stream that ends."""
    assert answer.status_code in (200, 400, 404, 413), answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        *_, last = [
            line[5:].strip() for line in answer.text.split("\n") if line.startswith("data:")
        ]
        assert last == "[DONE]" or json.loads(last)["type"] in (
            "response.completed", "response.incomplete", "message_stop")  # fmt: skip
    else:
        body = json.loads(answer.content, parse_constant=pytest.fail)
        assert answer.status_code == 200 or body["error"]["message"].endswith(".")
    assert b'"server_error"' not in answer.content


@pytest.mark.parametrize("route", BODIES)
def test_nothing_breaks_a_route(server: Server, route: str) -> None:
    @settings(KINDLY, max_examples=120)
    @given(spoilt(BODIES[route]), st.booleans(), st.booleans())
    def spoil(body: Any, escaped: bool, streamed: bool) -> None:
        if isinstance(body, dict) and body.get("stream") is False:
            body = {**body, "stream": streamed}
        check(ask(server, route, as_bytes(body, escaped)))

    assert ask(server, route, as_bytes(BODIES[route])).status_code == 200
    n_failures = server.one.stats.n_failures
    spoil()
    assert server.one.stats.n_failures == n_failures
    assert server.client.get("/health").status_code == 200
    server.wait_idle()


ECHOED = {
    "metadata": {"a": "{}"},
    "text.format": {"format": {"type": "text", "name": "{}"}},
    "text.format.schema": {"format": {"type": "text", "schema": {"a": "{}"}}},
    "text.verbosity": {"verbosity": "{}"},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("field", ECHOED)
def test_what_cannot_be_said_again_is_refused_before_it_is_sampled(
    server: Server, field: str, stream: bool
) -> None:
    def asked(part: Any) -> httpx.Response:
        actual = json.loads(json.dumps(ECHOED[field]).replace('"{}"', json.dumps(part)))
        body = {"model": "tiny", "input": "hi", "max_output_tokens": 2, "stream": stream}
        return ask(server, "/v1/responses", as_bytes({**body, field.split(".")[0]: actual}))

    sampled = server.one.stats.n_completion_tokens
    parts = [HALF, *([nested(300)] if field in ("metadata", "text.format.schema") else [])]
    for part in parts:
        answer = asked(part)
        error = answer.json()["error"]
        assert (answer.status_code, error["message"].split(":")[0]) == (400, error["param"])
        assert error["param"].startswith(field.split(".")[0])
        assert len(error["message"]) < 200
    assert server.one.stats.n_completion_tokens == sampled


@pytest.mark.parametrize("number", [2**65, -(2**64), 10**30, 0.5])
def test_a_number_is_said_again_as_it_came(server: Server, number: Any) -> None:
    body = {"model": "tiny", "input": "hi", "max_output_tokens": 2, "metadata": {"a": number}}
    assert server.client.post("/v1/responses", json=body).json()["metadata"] == {"a": number}
    text = server.client.post("/v1/responses", json={**body, "stream": True}).text
    assert f'"metadata":{{"a":{number}}}' in text.replace(": ", ":")


def test_what_no_json_has_becomes_null(server: Server) -> None:
    body = {"model": "tiny", "input": "hi", "max_output_tokens": 2}
    for odd in (math.nan, math.inf, -math.inf):
        answer = ask(server, "/v1/responses", as_bytes({**body, "metadata": {"a": odd}}))
        assert answer.json()["metadata"] == {"a": None}


@pytest.mark.parametrize("origin", ["http://[", "//[::1", "http://\u2100.example", "\xff", "a b"])
def test_a_header_that_is_none_is_refused(server: Server, origin: str) -> None:
    headers = {b"Origin": origin.encode("utf-8"), b"Host": b"localhost"}
    assert server.client.get("/v1/models", headers=headers).status_code == 403


DELTAS = {"role": "assistant", "content": [{"type": "text", "text": "5"}], "reasoning": "hm",
          "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}  # fmt: skip
EVENT = {
    "id": "x", "choices": [{"index": 0, "delta": DELTAS, "finish_reason": None}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 8, "completion_tokens_details": {
        "reasoning_tokens": 3}, "prompt_tokens_details": {"cached_tokens": 1}},
}  # fmt: skip
LAST = {"choices": [{"index": 0, "delta": {"content": "."}, "finish_reason": "stop"}]}
ERROR = {"error": {"message": "no", "param": "p", "code": "c"}}


@contextmanager
def behind(reply: list[Reply]) -> Iterator[Server]:
    """In front of a server that says whatever stands in the list."""
    with (
        scripted(lambda *_: reply[0], ("tiny", f"m{HALF}")) as server,
        running(open_front(server.url, None, LIMITS)) as front,
    ):
        yield front


def test_nothing_that_a_server_behind_says_breaks_ours() -> None:
    reply = [Reply()]
    with behind(reply) as front:

        @settings(KINDLY, max_examples=120)
        @given(spoilt(EVENT), st.booleans())
        def speak(event: Any, streamed: bool) -> None:
            lines = [b"data: " + as_bytes(item) + b"\n\n" for item in (event, LAST)]
            reply[0] = Reply(b"".join([*lines, b"data: [DONE]\n\n"]).decode())
            answer = front.ask(stream=streamed)
            assert answer.status_code in (200, 502)
            assert not streamed or answer.text.endswith("data: [DONE]\n\n")
            if not streamed:
                json.loads(answer.content)

        @settings(KINDLY, max_examples=40)
        @given(spoilt(ERROR), st.sampled_from([400, 404, 429, 500]), values)
        def refuse(body: Any, status: int, wait: Any) -> None:
            waits = {"Retry-After": str(wait).encode("ascii", "replace").decode()[:20]}
            reply[0] = Reply(
                as_bytes(body).decode(), status, waits if "\n" not in str(wait) else {}
            )
            answer = front.ask()
            assert answer.status_code in (400, 404, 429, 502)
            assert json.loads(answer.content)["error"]["message"]

        speak()
        refuse()
        assert len(front.client.get("/v1/models").json()["data"]) == 5
        assert 'model="m\N{REPLACEMENT CHARACTER}"' in front.client.get("/metrics").text
