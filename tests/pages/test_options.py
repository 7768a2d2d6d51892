"""Settings of an answer come from a browser, so anything may come; what the API takes is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from r1kit.pages import options, turns
from r1kit.pages.open_chat import read
from r1kit.serve.schema import ChatRequest

FULL = {"system": "Be brief.", "temperature": 0.3, "top_p": 0.9, "max_tokens": 64, "seed": -5,
        "budget": 16}  # fmt: skip


def test_settings_survive_the_way_through_the_browser() -> None:
    read_back = options.read(json.loads(json.dumps(options.read(FULL).as_json())))
    assert read_back == options.read(FULL)
    assert read_back.as_json() == FULL
    assert read_back.budget == 16
    assert "budget" not in read_back.fields()


@pytest.mark.parametrize(
    "name_and_value",
    [("temperature", 2.1), ("temperature", -1), ("temperature", "hot"), ("temperature", True),
     ("temperature", float("nan")), ("top_p", 1.5), ("max_tokens", 0), ("max_tokens", 3.5),
     ("max_tokens", 2**40), ("seed", 2**63), ("seed", 1.5), ("budget", 0), ("budget", [1]),
     ("system", 7), ("system", "  "), ("n", 4)],
)  # fmt: skip
def test_what_the_api_would_refuse_is_left_out(name_and_value: tuple[str, Any]) -> None:
    assert options.read(dict([name_and_value])).as_json() == {}


@pytest.mark.parametrize("data", [None, 7, [], "text", {}])
def test_nonsense_is_no_settings(data: object) -> None:
    assert options.read(data).as_json() == {}


def test_the_api_takes_every_limit() -> None:
    message = [{"role": "user", "content": "5"}]
    for value in (0, 2):
        fields = options.read(
            {"temperature": value, "top_p": value / 2, "seed": 2**53 - 1}
        ).fields()
        assert len(fields) == 3
        ChatRequest.model_validate({"model": "tiny", "messages": message, **fields})


def test_half_a_character_in_a_system_prompt_can_be_sent() -> None:
    assert options.read({"system": "a \ud83d b"}).system == "a \ufffd b"


def test_a_conversation_comes_with_settings() -> None:
    chat = read(json.dumps({"id": "a", "round": 1, "options": FULL, "turns": []}))
    assert chat.options.as_json() == FULL
    assert read("{}").options.as_json() == {}


def test_the_line_below_an_answer_says_who_wrote_it_and_how() -> None:
    turn = turns.assistant("r1 *x* <b>") | {"state": "done", "n_tokens": 10, "total_s": 2.0}
    turn["options"] = FULL
    line = turns.numbers(turn, "en", names_model=True)
    settings = "T 0.3 · top-p 0.9 · seed -5 · thinking budget 16"
    assert line == f"r1 *x* &lt;b> · {settings} · 10 tokens · 5 tokens/s · 0% thinking"
    assert "생각 한도 16" in turns.numbers(turn, "ko")
    assert "思考预算 16" in turns.numbers(turn, "zh")


@pytest.mark.parametrize(
    ("state", "content", "thinking", "expected"),
    [("length", "x", "", True), ("stopped", "", "hm", True), ("interrupted", "x", "hm", True),
     ("error", "x", "", True), ("error", "", "", False), ("done", "x", "", False),
     ("answering", "x", "", False), ("filtered", "x", "", False)],
)  # fmt: skip
def test_only_a_cut_answer_can_be_continued(
    state: str, content: str, thinking: str, expected: bool
) -> None:
    turn = turns.assistant("r1") | {"state": state, "content": content, "thinking": thinking}
    assert turns.is_cut_off(turn) is expected
