"""`--api-profile deepseek-r1`: what clients of January 2025 were told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from r1kit.renderers.r1kit import EOS
from tests.serve.conftest import Server, leaning, opened, running


@pytest.fixture(scope="module")
def old(folder: Path) -> Iterator[Server]:
    """Its noise has no end, so that thinking is as long as there is room for."""
    with running([leaning(opened(folder), EOS, -1e4)], is_launch_day=True) as server:
        yield server


def ask(old: Server, **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": "7x + 3 = 38"}]
    body = {
        "model": "deepseek-reasoner",
        "messages": messages,
        "max_tokens": 5,
        "seed": 3,
        **fields,
    }
    return old.client.post("/chat/completions", json=body)


def test_max_tokens_is_of_the_answer_alone(old: Server) -> None:
    answer = ask(old).json()
    [choice] = answer["choices"]
    usage = answer["usage"]
    assert choice["finish_reason"] == "length"
    assert choice["reasoning_finish_reason"] in ("budget", "stop")  # its noise may close it
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 5
    spent = usage["completion_tokens"] - usage["completion_tokens_details"]["reasoning_tokens"]
    assert spent == 5


def test_a_chat_model_has_its_tokens_for_the_answer(old: Server) -> None:
    answer = ask(old, model="deepseek-chat").json()
    assert answer["usage"]["completion_tokens"] == 5
    assert "reasoning_content" not in answer["choices"][0]["message"]


def test_sampling_parameters_are_accepted_and_have_no_effect(old: Server) -> None:
    plain, warm = ask(old, seed=3), ask(old, seed=3, temperature=2, top_p=0.1, presence_penalty=1)
    assert plain.json()["choices"] == warm.json()["choices"]
    cold = ask(old, seed=3, temperature=0, model="deepseek-chat")
    assert cold.json()["choices"] != ask(old, seed=3, model="deepseek-chat").json()["choices"]


USER, ASSISTANT = ({"role": role, "content": "5"} for role in ("user", "assistant"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": [USER, {**ASSISTANT, "reasoning_content": "hm"}, USER]}, "must not be sent"),
        ({"messages": [USER, USER]}, "does not support successive"),
        ({"messages": [USER, ASSISTANT, ASSISTANT, USER]}, "messages[1] and messages[2]"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": 8193}, "[1, 8192]"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"thinking": {"type": "disabled"}}, "later than this"),
        ({"model": "gpt-4"}, "Model Not Exist"),
        ({"messages": []}, "messages"),
    ],
)
def test_refusals_have_the_words_and_codes_of_then(
    old: Server, fields: dict[str, Any], message: str
) -> None:
    answer = ask(old, **fields)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in error["message"]
    assert error["type"] == error["code"] == "invalid_request_error"
    assert error["param"] is None
