"""What the server behind can do reaches it, and what it says comes back."""

from typing import Any

import pytest

from r1kit.serve.proxy import open_front
from tests.serve.conftest import LIMITS, Server, running
from tests.serve.test_api import chunks
from tests.serve.test_front import as_stream, before, pair, streamed
from tests.servers import Reply, scripted

__all__ = ["pair"]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "7x"}]


def sent(**fields: Any) -> dict[str, Any]:
    """What a server behind gets for a chat with these fields."""
    with scripted([streamed({"content": "5"})], ("tiny",)) as behind:
        with running(open_front(behind.url, None, LIMITS)) as front:
            answer = front.ask(**fields)
            assert answer.status_code == 200, answer.text
            assert "x-fields-without-effect" not in answer.headers
        [body] = behind.requests
        return body


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "u1", "metadata": {"a": "b"}, "service_tier": "flex", "verbosity": "low"},
        {"logprobs": True, "top_logprobs": 3},
        {"messages": TALK, "continue_final_message": True, "add_generation_prompt": False},
        {"messages": [TALK[0], {**TALK[1], "prefix": True}]},
        {"messages": [{"role": "user", "content": "hi", "name": "alice"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, IMAGE]}]},
        {"provider": {"order": ["a"]}, "transforms": []},
    ],
)
def test_a_chat_reaches_it_whole(fields: dict[str, Any]) -> None:
    body = sent(**fields)
    assert {name: body[name] for name in fields} == fields


def test_a_switch_of_thinking_comes_in_the_spelling_of_vllm_too() -> None:
    off = {"enable_thinking": False, "thinking": False}
    assert sent(thinking={"type": "disabled"})["chat_template_kwargs"] == off
    assert sent(enable_thinking=False)["chat_template_kwargs"] == off
    written = {"thinking": True}
    assert sent(chat_template_kwargs=written)["chat_template_kwargs"] == written
    assert "chat_template_kwargs" not in sent()


def test_an_image_is_refused_by_a_model_that_reads_text(server: Server) -> None:
    content = [{"type": "text", "text": "What?"}, IMAGE]
    answer = server.ask(messages=[{"role": "user", "content": content}])
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "messages[0].content[1].type"
    assert "Only text is supported" in error["message"]


def test_log_probabilities_come_back(pair: tuple[Server, Server]) -> None:
    behind, front = pair
    fields: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "n": 2}
    direct, through = (item.ask(**fields).json()["choices"] for item in pair)
    assert [c["message"] for c in through] == [c["message"] for c in direct]
    assert [c["logprobs"] for c in through] == [c["logprobs"] for c in direct]
    parts = chunks(front.ask(stream=True, **fields))
    for index, choice in enumerate(direct):
        tokens = [
            token
            for part in parts
            for c in part["choices"]
            if c["index"] == index and c["logprobs"]
            for token in c["logprobs"].get("content") or []
        ]
        assert tokens == (choice["logprobs"]["content"] or [])
    assert behind.url != front.url


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ["7x + 3", "wait"], "n": 2},
        {"prompt": [5, 6, 7]},
        {"prompt": [[5, 6, 7], [8]], "echo": True, "logprobs": 1, "max_tokens": 0},
        {"prompt": "7x", "echo": True, "logprobs": 2, "max_tokens": 3},
    ],
)
def test_evaluators_ask_through_it(pair: tuple[Server, Server], fields: dict[str, Any]) -> None:
    body = {"model": "tiny", "max_tokens": 4, "seed": 5, **fields}
    direct, through = (item.client.post("/v1/completions", json=body).json() for item in pair)
    for key in ("text", "finish_reason", "logprobs"):
        assert [c[key] for c in through["choices"]] == [c[key] for c in direct["choices"]]
    assert through["usage"]["prompt_tokens"] == direct["usage"]["prompt_tokens"]


def test_a_prefix_is_continued_behind(pair: tuple[Server, Server]) -> None:
    messages = [TALK[0], {**TALK[1], "prefix": True}]
    direct, through = (item.ask(messages=messages).json()["choices"] for item in pair)
    assert through[0]["message"]["content"] == direct[0]["message"]["content"]


@pytest.mark.parametrize("name", ["max_model_len", "context_length", "meta.n_ctx"])
def test_the_length_of_the_context_is_told(name: str) -> None:
    place, _, inner = name.partition(".")
    facts: dict[str, Any] = {place: {inner: 4096} if inner else 4096}
    with scripted([streamed({"content": "5"})], ("tiny",)) as behind:
        behind.models[0].update(facts)
        with running(open_front(behind.url, None, LIMITS)) as front:
            assert front.client.get("/v1/models/tiny").json()["max_model_len"] == 4096


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply({"error": {"message": "no", "code": "wrong_key"}}, 401), 502, "wrong_key"),
        (Reply({"error": {"message": "no", "code": "quota"}}, 429), 429, "quota"),
        (Reply({"error": {"message": "no", "code": 7}}, 429), 429, "rate_limit_exceeded"),
        (Reply({"error": {"message": "no", "code": "long", "param": "n"}}, 400), 400, "long"),
        (as_stream({"error": {"message": "no", "code": "oom"}}), 502, "oom"),
    ],
)  # fmt: skip
def test_its_codes_come_back(reply: Reply, status: int, code: str) -> None:
    with before(reply) as front:
        answer = front.ask()
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert "no" in answer.json()["error"]["message"]
