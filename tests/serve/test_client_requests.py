"""Requests as clients send them: answered, or refused in a plain sentence with the remedy.

client_requests.jsonl has one request a line: fields beside the model, and `param` and a part of the
message where it is refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from r1kit.renderers.r1kit import EOS
from tests.serve.conftest import Server, leaning, opened, running
from tests.serve.test_api import chunks, joined

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "client_requests.jsonl").read_text("utf-8").splitlines()
]
TEXTS: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": [{"role": "user", "content": "7x + 3 = 38, x = ?"}]},
    "completions": {"prompt": "7x + 3 ="},
    "fim/completions": {"prompt": "7x + 3 ="},
    "responses": {"input": "7x + 3 = 38, x = ?"},
    "responses/input_tokens": {"input": "7x + 3 = 38, x = ?"},
    "messages": {"messages": [{"role": "user", "content": "7x + 3 = 38, x = ?"}]},
    "messages/count_tokens": {"messages": [{"role": "user", "content": "7x + 3 = 38, x = ?"}]},
    "tokenize": {"prompt": "7x + 3 ="},
}
LIMIT_NAMES = {"responses": "max_output_tokens", "chat/completions": "max_tokens",
               "completions": "max_tokens", "messages": "max_tokens"}  # fmt: skip


@pytest.fixture(scope="module")
def closing_soon(folder: Path) -> Iterator[Server]:
    """A model that ends its text as soon as it may."""
    with running([leaning(opened(folder), EOS, 1e4)]) as running_server:
        yield running_server


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_every_client_is_answered(server: Server, case: dict[str, Any]) -> None:
    limit = {LIMIT_NAMES[case["path"]]: 40} if case["path"] in LIMIT_NAMES else {}
    body = {"model": "tiny", **limit, **TEXTS[case["path"]], **case["fields"]}
    answer = server.client.post(f"/v1/{case['path']}", json=body)
    if "param" not in case:
        assert answer.status_code == 200, answer.text
        return
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == case["param"]
    assert case["says"] in error["message"]
    assert "nput should" not in error["message"], "the words of a library"


@pytest.mark.parametrize(
    ("fields", "header"),
    [
        ({}, None),
        ({"verbosity": None, "no_such_field": None}, None),
        ({"verbosity": "low", "user_id": "a"}, "user_id, verbosity"),
        ({"messages": [{"role": "user", "cache_control": {}, "content": [
            {"type": "text", "text": "hi", "cache_control": {}}] * 2}]},
         "messages[].cache_control, messages[].content[].cache_control"),
        ({"stream": True, "verbosity": "low"}, "verbosity"),
    ],
)  # fmt: skip
def test_fields_without_effect_are_named(
    server: Server, fields: dict[str, Any], header: str | None
) -> None:
    answer = server.ask(max_tokens=2, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers.get("x-fields-without-effect") == header


def test_fields_without_effect_of_a_response_are_named(server: Server) -> None:
    fields = {
        "text": {"verbosity": "low"},
        "reasoning": {"summary": "auto"},
        "safety_identifier": "a",
    }
    body = {"model": "tiny", "input": "hi", "max_output_tokens": 2, **fields}
    header = server.client.post("/v1/responses", json=body).headers["x-fields-without-effect"]
    assert header == "safety_identifier, text.verbosity"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"model": "tiny",\n "messages": [', "line 2, column 15"),
        (b"{'model': 1}", "line 1, column 2"),
        (b'{"model": "tiny", "messages": "hi"}', "messages: It must be a list."),
        (b'{"model": "tiny"}', "messages: It is missing."),
    ],
)
def test_refusals_are_plain(server: Server, data: bytes, says: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = server.client.post("/v1/chat/completions", content=data, headers=headers)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize("field", [{"stop": 5}, {"stop": ["a"] * 17}, {"n": "1"}, {"seed": 1.5}])
def test_a_refusal_has_one_sentence(server: Server, field: dict[str, Any]) -> None:
    [name] = field
    allowed = {"stop": {"stop: It must be a text or a list.",
                        "stop: It must have at most 16 entries."},
               "n": {"n: It must be a whole number."},
               "seed": {"seed: It must be a whole number."}}  # fmt: skip
    assert server.ask(**field).json()["error"]["message"] in allowed[name]


def test_an_overflow_is_recognised_streamed_or_not(server: Server) -> None:
    """LiteLLM and LangChain look for these words in the message."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as refused:
                client.chat.completions.create(
                    model="tiny", messages=[{"role": "user", "content": "x + 3 " * 900}],
                    stream=stream,
                )  # fmt: skip
            assert refused.value.code == "context_length_exceeded"
            assert "context_length_exceeded" in str(refused.value)
            assert "This model's maximum context length is 512 tokens" in str(refused.value)


def test_a_last_message_of_the_assistant_is_continued(server: Server) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "7x"}]
    marked = [turns[0], {**turns[1], "prefix": True}]
    expected = server.ask(messages=marked).json()
    assert server.ask(messages=turns).json()["choices"] == expected["choices"]
    same: dict[str, Any] = {"continue_final_message": True, "add_generation_prompt": False}
    assert server.ask(messages=turns, **same).json()["choices"] == expected["choices"]


@pytest.mark.parametrize("fields", [{}, {"thinking_budget": 9}, {"enable_thinking": False}])
def test_benchmark_clients_get_as_many_tokens_as_they_ask_for(
    closing_soon: Server, fields: dict[str, Any]
) -> None:
    usage = closing_soon.ask(max_tokens=60, ignore_eos=True, **fields).json()["usage"]
    assert usage["completion_tokens"] == 60
    usage = closing_soon.ask(max_tokens=60, min_tokens=33, **fields).json()["usage"]
    assert 33 <= usage["completion_tokens"] < 60
    usage = closing_soon.ask(max_tokens=60, **fields).json()["usage"]
    assert usage["completion_tokens"] < 33


def test_a_stream_counts_along(server: Server) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    parts = chunks(server.ask(stream=True, stream_options=options))
    counts = [part["usage"]["completion_tokens"] for part in parts]
    assert counts == sorted(counts)
    assert counts[-1] == 24
    assert len({part["usage"]["prompt_tokens"] for part in parts}) == 1
    plain = chunks(server.ask(stream=True, stream_options={"include_usage": True}))
    assert joined(plain, "content") == joined(parts, "content")
    assert plain[0]["usage"] is None
