"""The API as its clients see it: today's openai client, and what older ones send."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from r1kit.serve.models import EngineModel
from tests.serve.conftest import Server, opened, running

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "7x + 3 = 38, x = ?"}]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as one:
        yield one


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, which must end in [DONE]."""
    events = [line for line in response.text.split("\n\n") if line and not line.startswith(":")]
    assert all(event.startswith("data: ") for event in events)
    assert events.pop() == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


def joined(parts: list[dict[str, Any]], key: str, index: int = 0) -> str:
    choices = [choice for part in parts for choice in part["choices"]]
    return "".join(c["delta"].get(key) or "" for c in choices if c["index"] == index)


def test_openai_client_whole_and_streamed_say_the_same(client: openai.OpenAI) -> None:
    extra = {"thinking": {"type": "enabled", "budget_tokens": 9}}
    ask: dict[str, Any] = dict(
        model="deepseek-reasoner", messages=QUESTION, seed=4, max_tokens=40, extra_body=extra
    )
    whole = client.chat.completions.create(**ask)
    message = whole.choices[0].message
    assert whole.choices[0].finish_reason == "length"
    assert message.reasoning_content
    assert message.content
    assert whole.usage.completion_tokens == 40
    assert whole.usage.completion_tokens_details.reasoning_tokens == 10  # and the closing tag
    assert whole._request_id

    output = {"content": "", "reasoning_content": ""}
    stream = client.chat.completions.create(
        **ask, stream=True, stream_options={"include_usage": True}
    )
    for part in stream:
        for choice in part.choices:
            for key in output:
                output[key] += getattr(choice.delta, key, None) or ""
    assert output == {"content": message.content, "reasoning_content": message.reasoning_content}
    assert part.usage == whole.usage


def test_openai_client_models_completions_and_errors(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == ["tiny", "deepseek-reasoner", "deepseek-r1", "deepseek-chat"]
    assert client.models.retrieve("tiny").owned_by == "r1kit"
    legacy = client.completions.create(model="tiny", prompt="7x", seed=1, logprobs=2)
    assert legacy.usage is not None
    assert legacy.usage.completion_tokens == 16
    logprobs: Any = legacy.choices[0].logprobs
    for token, logprob, top in zip(
        logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True
    ):
        assert 2 <= len(top) <= 3  # the sampled one besides
        assert top[token] == logprob
    assert len(logprobs.tokens) == 16
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt", messages=QUESTION)
    assert caught.value.param == "model"
    assert caught.value.code == "model_not_found"


def test_an_answer_can_be_sent_back_as_it_came(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(
        model="deepseek-r1", messages=QUESTION, seed=1, max_tokens=8
    )
    again: list[Any] = [*QUESTION, first.choices[0].message, {"role": "user", "content": "sure?"}]
    second = client.chat.completions.create(
        model="deepseek-r1", messages=again, max_tokens=4, seed=1
    )
    bare: list[Any] = [
        *QUESTION,
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "sure?"},
    ]
    dropped = client.chat.completions.create(
        model="deepseek-r1", messages=bare, max_tokens=4, seed=1
    )
    assert second.usage is not None
    assert dropped.usage is not None
    assert second.usage.prompt_tokens == dropped.usage.prompt_tokens
    assert second.choices[0].message == dropped.choices[0].message


def test_the_order_of_a_stream_that_thinks(server: Server) -> None:
    ask: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 5}, "stream": True}
    parts = chunks(server.ask(**ask, stream_options={"include_usage": True}))
    first, *middle, last, usage = parts
    assert first["choices"][0]["delta"] == {
        "role": "assistant", "content": None, "reasoning_content": ""
    }  # fmt: skip
    kinds = [c["delta"].get("content") is not None for p in middle for c in p["choices"]]
    assert kinds == sorted(kinds), "thinking, then the answer"
    assert {len(p["choices"][0]["delta"]) for p in middle} == {2}
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["choices"][0]["reasoning_finish_reason"] == "budget"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens_details"]["reasoning_tokens"] == 6
    assert all(part["usage"] is None for part in parts[:-1])
    assert len({part["id"] for part in parts}) == 1
    assert "usage" not in chunks(server.ask(stream=True))[0]


def test_thinking_by_name_by_field_and_by_effort(server: Server) -> None:
    def thinks(**fields: Any) -> bool:
        message = server.ask(max_tokens=3, **fields).json()["choices"][0]["message"]
        return "reasoning_content" in message

    assert thinks()
    assert thinks(model="deepseek-r1")
    assert not thinks(model="deepseek-chat")
    assert thinks(model="deepseek-chat", thinking={"type": "enabled"})
    assert not thinks(thinking={"type": "disabled"})
    assert not thinks(reasoning_effort="none")
    assert thinks(model="deepseek-chat", reasoning_effort="low")
    assert thinks(reasoning_effort="none", thinking={"type": "enabled"})
    first = chunks(server.ask(model="deepseek-chat", stream=True))[0]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_a_budget_leaves_a_quarter_to_the_answer_and_is_not_felt_before(server: Server) -> None:
    free = server.ask(max_tokens=40).json()["choices"][0]["message"]["reasoning_content"]
    ample = {"type": "enabled", "budget_tokens": 10_000}
    tight = server.ask(max_tokens=40, thinking=ample).json()
    details = tight["usage"]["completion_tokens_details"]
    assert details["reasoning_tokens"] == 30  # 29 and the closing tag: 10 of 40 are the answer's
    assert tight["usage"]["completion_tokens"] == 40
    assert tight["choices"][0]["message"]["content"]
    assert free.startswith(tight["choices"][0]["message"]["reasoning_content"])
    short = server.ask(max_tokens=2, thinking=ample)
    assert short.status_code == 400
    assert short.json()["error"]["param"] == "thinking.budget_tokens"


def test_n_completions_have_their_budgets_each(server: Server) -> None:
    ask: dict[str, Any] = {
        "n": 3,
        "thinking": {"type": "enabled", "budget_tokens": 6},
        "logprobs": True,
    }
    whole = server.ask(**ask).json()
    messages = [choice["message"] for choice in whole["choices"]]
    assert len({message["content"] for message in messages}) == 3
    assert whole["usage"]["completion_tokens"] == 72
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 21
    parts = chunks(server.ask(**ask, stream=True))
    for index, message in enumerate(messages):
        assert joined(parts, "content", index) == message["content"]
        assert joined(parts, "reasoning_content", index) == message["reasoning_content"]
    for choice in whole["choices"]:
        assert 4 <= len(choice["logprobs"]["reasoning_content"]) <= 6
        # Blanks before an answer and control tokens are not in the text.
        assert 24 - 10 <= len(choice["logprobs"]["content"]) <= 24 - 7


ANYTHING: dict[str, list[Any]] = {
    "n": [2, 5],
    "max_tokens": [1, 3, 30],
    "temperature": [0, 1, 2],
    "top_k": [1, 7],
    "stop": ["a", ["</think>", "\N{REPLACEMENT CHARACTER}", " "]],
    "logprobs": [True],
    "thinking": [{"type": "disabled"}, {"type": "enabled", "budget_tokens": 4}],
    "model": ["deepseek-chat"],
    "messages": [
        [*QUESTION, {"role": "assistant", "content": "5 <think>", "prefix": True}],
        [*QUESTION, {"role": "assistant", "reasoning": "try ", "prefix": True}],
    ],
}


def test_streamed_or_not_is_the_same_in_any_combination_of_fields(server: Server) -> None:
    rng = random.Random(0)
    for _ in range(40):
        names = rng.sample(sorted(ANYTHING), rng.randrange(1, 7))
        fields = {"messages": QUESTION, **{name: rng.choice(ANYTHING[name]) for name in names}}
        body = {"model": "tiny", "max_tokens": 9, "seed": rng.randrange(100), **fields}
        whole = server.client.post("/chat/completions", json=body)
        if whole.status_code == 400:
            assert whole.json()["error"]["param"] == "thinking.budget_tokens", fields
            continue
        parts = chunks(server.client.post("/chat/completions", json={**body, "stream": True}))
        for choice in whole.json()["choices"]:
            index, message = choice["index"], choice["message"]
            assert joined(parts, "content", index) == message["content"], fields
            thinking = message.get("reasoning_content", "")
            assert joined(parts, "reasoning_content", index) == thinking, fields
            ours = [c for part in parts for c in part["choices"] if c["index"] == index]
            keys = {"finish_reason", "reasoning_finish_reason"} & set(choice)
            assert {key: ours[-1][key] for key in keys} == {key: choice[key] for key in keys}


def test_the_likeliest_tokens_are_told_where_they_are_asked_for(client: openai.OpenAI) -> None:
    ask: dict[str, Any] = {
        "messages": QUESTION,
        "model": "tiny",
        "max_tokens": 30,
        "logprobs": True,
    }
    budget = {"thinking": {"type": "enabled", "budget_tokens": 6}}
    whole = client.chat.completions.create(
        **ask, top_logprobs=4, temperature=1, top_p=1, seed=3, extra_body=budget
    )
    logprobs: Any = whole.choices[0].logprobs
    assert len(logprobs.reasoning_content) == 6
    for item in logprobs.content:
        values = [top.logprob for top in item.top_logprobs]
        assert len(values) == 4
        assert values == sorted(values, reverse=True)
        same = [top.logprob for top in item.top_logprobs if top.token == item.token]
        assert item.logprob in same or item.logprob <= values[-1]
    greedy = client.chat.completions.create(**ask, top_logprobs=1, temperature=0)
    logprobs = greedy.choices[0].logprobs
    for item in logprobs.reasoning_content:
        assert item["top_logprobs"] == [{key: item[key] for key in ("token", "logprob", "bytes")}]


def test_logprobs_of_a_stream_are_those_of_the_whole(server: Server) -> None:
    ask: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "model": "deepseek-chat"}
    [whole] = server.ask(**ask).json()["choices"]
    parts = chunks(server.ask(**ask, stream=True))
    streamed = [
        token
        for part in parts
        for choice in part["choices"]
        if choice["logprobs"]
        for token in choice["logprobs"]["content"]
    ]
    assert [t["token"] for t in streamed] == [t["token"] for t in whole["logprobs"]["content"]]
    assert [t["logprob"] for t in streamed] == pytest.approx(
        [t["logprob"] for t in whole["logprobs"]["content"]], abs=1e-4
    )
    assert [[top["token"] for top in t["top_logprobs"]] for t in streamed] == [
        [top["token"] for top in t["top_logprobs"]] for t in whole["logprobs"]["content"]
    ]
    assert len(streamed) == 24
    assert all(token["logprob"] <= 0 for token in streamed)


def test_stop_strings_end_the_text_before_them(server: Server) -> None:
    text = server.ask(model="deepseek-chat").json()["choices"][0]["message"]["content"]
    mark = text[5]
    for stop in (mark, ["never there", mark]):
        [choice] = server.ask(model="deepseek-chat", stop=stop).json()["choices"]
        assert choice["message"]["content"] == text[: text.index(mark)]
        assert choice["finish_reason"] == "stop"
        parts = chunks(server.ask(model="deepseek-chat", stop=stop, stream=True))
        assert joined(parts, "content") == text[: text.index(mark)]


def test_a_prefix_is_continued_not_repeated(server: Server) -> None:
    def complete(*turns: dict[str, Any], **fields: Any) -> Any:
        body = {"model": "tiny", "messages": [*QUESTION, *turns], "seed": 2, "max_tokens": 8}
        return server.client.post("/beta/chat/completions", json={**body, **fields}).json()

    answer = {"role": "assistant", "content": "x =", "prefix": True}
    whole = complete(answer)
    assert "reasoning_content" in whole["choices"][0]["message"]
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    assert whole["choices"][0]["message"]["content"]
    thought = {"role": "assistant", "content": "", "reasoning_content": "try", "prefix": True}
    whole = complete(thought)
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 8
    both = complete({**answer, "reasoning_content": "try 5"})
    assert both["usage"]["prompt_tokens"] > complete(answer)["usage"]["prompt_tokens"]
    refused = complete({"role": "assistant", "content": "x =", "prefix": False})
    assert refused["error"]["param"] == "messages[1]"


def test_what_openai_0_28_sends(server: Server) -> None:
    body = {
        "model": "deepseek-r1",
        "messages": [{"role": "user", "content": "7x + 3 = 38일 때 x의 값을 구하세요."}],
        "max_tokens": 10,
        "stream": True,
    }
    headers = {"Authorization": "Bearer sk-none", "User-Agent": "OpenAI/v1 PythonBindings/0.28.1"}
    response = server.client.post("/v1/chat/completions", json=body, headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "event:" not in response.text
    assert joined(chunks(response), "reasoning_content")


def test_plain_texts_and_token_ids(server: Server) -> None:
    def text(prompt: Any) -> Any:
        body = {"model": "tiny", "prompt": prompt, "seed": 3, "max_tokens": 9}
        return server.client.post("/completions", json=body).json()

    tokenizer = server.one.decoder
    ids = [tokenizer.bos_token_id, *tokenizer.encode("7x + 3", add_special_tokens=False)]
    assert text("7x + 3")["choices"] == text(["7x + 3"])["choices"] == text(ids)["choices"]
    body = {"model": "tiny", "prompt": "7x + 3", "seed": 3, "max_tokens": 9, "stream": True}
    parts = chunks(server.client.post("/v1/completions", json=body))
    streamed = "".join(part["choices"][0]["text"] for part in parts)
    assert streamed == text("7x + 3")["choices"][0]["text"]
    for wrong in ([10**6], [-1], ["a", 1], [1, "a"], [True], [[1], 1]):
        assert text(wrong)["error"]["param"] == "prompt", wrong


def test_max_tokens_is_what_the_context_leaves(server: Server) -> None:
    whole = server.ask(max_tokens=100_000).json()
    assert whole["usage"]["total_tokens"] == 512
    newer = server.ask(max_tokens=9, max_completion_tokens=4).json()
    assert newer["usage"]["completion_tokens"] == 4
    long = server.ask("7" * 600)
    assert long.status_code == 400
    assert long.json()["error"]["code"] == "context_length_exceeded"


def test_health_metrics_and_request_ids(server: Server) -> None:
    assert server.client.get("/health").json() == {"status": "ok"}
    value = server.client.get("/models", headers={"x-request-id": "abc-1"})
    assert value.headers["x-request-id"] == "abc-1"
    made = server.client.get("/models", headers={"x-request-id": "no\tspaces please"})
    assert made.headers["x-request-id"].startswith("req_")
    server.ask()
    metrics = server.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'r1_completion_tokens_total{model="tiny"}' in metrics.text


def test_two_models_answer_by_their_names(folder: Path) -> None:
    with running([opened(folder), opened(folder, "other")]) as server:
        names = [model["id"] for model in server.client.get("/models").json()["data"]]
        assert names[:2] == ["tiny", "other"]
        first, other = (server.ask(model=name).json() for name in names[:2])
        assert first["choices"] == other["choices"]
        assert [first["model"], other["model"]] == names[:2]
        second = server.served[1]
        assert isinstance(second, EngineModel)
        assert second.engine_loop.n_completion_tokens == 24
        assert (
            'r1_completion_tokens_total{model="other"} 24.0' in server.client.get("/metrics").text
        )


def test_a_conversation_that_goes_on_is_read_on(server: Server) -> None:
    turns = [{"role": "user", "content": "다시 x = ? " * 60}]
    first = server.ask(messages=turns, max_tokens=8, seed=1).json()
    answer = first["choices"][0]["message"]["content"]
    turns.append({"role": "assistant", "content": answer})
    turns.append({"role": "user", "content": "wait, try 4: " * 30})
    usages, messages = [], []
    for _ in range(2):
        second = server.ask(messages=turns, max_tokens=30, seed=2).json()
        usages.append(second["usage"])
        messages.append(second["choices"][0]["message"])
    read = first["usage"]["prompt_tokens"]
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages]
    assert read > 128
    assert read - 80 < cached[0] <= read  # but for what follows its last whole block of 64
    assert cached[0] < cached[1] <= usages[1]["prompt_tokens"]
    assert usages[1]["prompt_cache_hit_tokens"] == cached[1]
    assert usages[1]["prompt_cache_miss_tokens"] == usages[1]["prompt_tokens"] - cached[1]
    assert messages[0] == messages[1]
    assert "r1_cached_tokens_total" in server.client.get("/metrics").text
