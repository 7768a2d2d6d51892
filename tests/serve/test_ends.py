"""How a turn ends: there is an answer after all thinking, and stop strings end the answer alone."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from r1kit.renderers.r1kit import EOS
from tests.serve.conftest import Server, leaning, opened, running
from tests.serve.test_api import chunks, joined
from tests.serve.test_schema import POINT, check, form

HOSTILE = {"type": "string", "pattern": "^(.{1,99}){99}$"}
"""Its automaton grows with every token of the answer."""


@pytest.fixture(scope="module")
def ending(folder: Path) -> Iterator[Server]:
    """A model that ends its text wherever it may."""
    with running([leaning(opened(folder), EOS, 1e4)]) as server:
        yield server


BUDGET: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 8}}


@pytest.mark.parametrize("fields", [{}, BUDGET, {"thinking": {"type": "disabled"}}, {"n": 3},
                                    {"logprobs": True, "top_logprobs": 2}])  # fmt: skip
def test_a_model_that_ends_its_text_at_once_answers_nevertheless(
    ending: Server, fields: dict[str, Any]
) -> None:
    whole = ending.ask(**fields).json()
    parts = chunks(ending.ask(**fields, stream=True, stream_options={"include_usage": True}))
    for choice in whole["choices"]:
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"]
        assert joined(parts, "content", choice["index"]) == choice["message"]["content"]
        assert choice.get("reasoning_finish_reason", "stop") == "stop"
    assert parts[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    if not fields:
        # The closing tag, one token, and the end: the first end of text does not count.
        assert whole["usage"]["completion_tokens"] == 3
        assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1


@pytest.mark.parametrize("stop", [None, ["x", "}", ":"]])
def test_with_a_schema_it_answers_in_json_whatever_the_stop_strings(
    ending: Server, stop: list[str] | None
) -> None:
    answer = ending.ask(response_format=form(POINT), n=4, max_tokens=200, stop=stop).json()
    for choice in answer["choices"]:
        assert choice["finish_reason"] == "stop"
        check(choice["message"]["content"])


def test_the_other_routes_answer_too(ending: Server) -> None:
    fields = {"model": "tiny", "seed": 3}
    actual = ending.client.post("/v1/responses", json={**fields, "input": "7x + 3 = 38"}).json()
    [message] = [item for item in actual["output"] if item["type"] == "message"]
    assert message["content"][0]["text"]
    plain = ending.client.post("/v1/completions", json={**fields, "prompt": "7x"}).json()
    assert plain["choices"][0]["text"] == "", "a plain text may end at once"


def test_without_room_for_an_answer_the_thinking_is_cut(ending: Server) -> None:
    [choice] = ending.ask(max_tokens=1).json()["choices"]
    assert (choice["finish_reason"], choice["reasoning_finish_reason"]) == ("length", "length")
    assert choice["message"]["content"] == ""


@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings_do_not_end_the_thinking(server: Server, stream: bool) -> None:
    def ask(**more: Any) -> dict[str, Any]:
        fields = {"max_tokens": 60, "stream": stream, **BUDGET, **more}
        answer = server.ask(**fields)
        if not stream:
            [choice] = answer.json()["choices"]
            return {**choice["message"], "finish": choice["finish_reason"]}
        parts = chunks(answer)
        output: dict[str, Any] = {
            key: joined(parts, key) for key in ("content", "reasoning_content")
        }
        return {**output, "finish": parts[-1]["choices"][0]["finish_reason"]}

    free = ask()
    thinking, answer = free["reasoning_content"], free["content"]
    stop = [thinking[2:4], answer[6:9]]
    stopped = ask(stop=stop)
    assert stopped["reasoning_content"] == thinking
    assert stopped["content"] == answer[: min(answer.find(s) for s in stop if s in answer)]
    assert stopped["finish"] == "stop"


def test_a_stopped_answer_counts_its_stop_string_and_shows_no_token_of_it(server: Server) -> None:
    fields: dict[str, Any] = {"max_tokens": 60, "logprobs": True, **BUDGET}
    text = server.ask(**fields).json()["choices"][0]["message"]["content"]
    actual = server.ask(**fields, stop=text[6:9]).json()
    spent = actual["usage"]["completion_tokens"]
    n_thinking = actual["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert n_thinking == 9
    [choice] = actual["choices"]
    shown = choice["logprobs"]["content"]
    assert spent - n_thinking > len(shown)
    assert len("".join(t["token"] for t in shown)) == len(choice["message"]["content"].lstrip())
    assert spent < 60
    server.wait_idle()


def test_a_schema_that_grows_too_large_ends_its_own_request_alone(server: Server) -> None:
    request: list[dict[str, Any]] = [
        {"response_format": form(schema), "max_tokens": 400, "seed": seed, "temperature": 1.5,
         "thinking": {"type": "disabled"}, "stream": seed % 2 == 0}
        for seed, schema in enumerate([HOSTILE, HOSTILE, POINT, POINT, POINT])
    ]  # fmt: skip
    n_failures = server.one.stats.n_failures
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda fields: server.ask(**fields), request))
    streamed, whole = answers[:2]
    assert (streamed.status_code, whole.status_code) == (200, 400)
    assert whole.json()["error"]["param"] == "response_format.json_schema.schema"
    assert all("patterns grow too large" in answer.text for answer in (streamed, whole))
    for answer, fields in zip(answers[2:], request[2:], strict=True):
        assert answer.status_code == 200
        text = (
            joined(chunks(answer), "content")
            if fields["stream"]
            else answer.json()["choices"][0]["message"]["content"]
        )
        check(text)
    assert server.one.stats.n_failures == n_failures
    assert json.loads(server.client.get("/health").text) == {"status": "ok"}
