"""The tokens that clients see are those of the text that they see, however it is cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.renderers import r1kit, renderer_of
from r1kit.serve.wire import ChatWriter, FullCompletion
from tests.engines.test_completion import EOS, PROMPT, WORDS, Fed, counted, cut, encoded, said

CONTROL = renderer_of(WORDS).control_ids
MARK = WORDS.convert_tokens_to_ids(r1kit.ASSISTANT)


def shown(saids: Any) -> list[int]:
    return [token.id for chunk in saids for token in chunk.tokens if token.is_shown]


def test_control_tokens_are_those_of_the_template_but_no_thinking_tag() -> None:
    texts = set(WORDS.convert_ids_to_tokens(sorted(CONTROL)))
    assert texts == set(r1kit.SPECIAL_TOKENS)


@given(st.lists(st.integers(0, 10**6), max_size=12), st.sampled_from(["thinking", "start"]))
def test_a_control_token_is_never_text(places: list[int], part: str) -> None:
    before, after = encoded("try 4: 다시 😀"), encoded("wait</think>\n\nthe answer")
    ids = [*before, MARK, *after, MARK, *encoded(" is 5"), MARK, EOS[0]]
    plain = [*before, *after, *encoded(" is 5"), EOS[0]]
    hidden = said(cut(ids, places), part, hidden_ids=CONTROL)
    expected = said([plain], part)
    assert counted(hidden)[2:] == counted(expected)[2:]
    assert counted(hidden)[0] == len(ids), "they count"
    assert shown(hidden) == shown(expected)
    assert "\\uff5c" not in json.dumps(ChatWriter(True, WORDS).whole(_whole(hidden))), "nowhere"


@given(st.lists(st.integers(0, 10**6), max_size=12))
def test_no_token_of_a_stop_string_is_shown(places: list[int]) -> None:
    ids = encoded("wait</think>\nthe answer is 5, is 55")
    saids = said(cut(ids, places), "thinking", ("5, is",))
    assert counted(saids)[3] == "the answer is "
    text = WORDS.decode(shown(saids))
    assert text.removeprefix("wait</think>") == "the answer is "


@pytest.mark.parametrize("size", range(1, 8))
def test_a_character_that_is_cut_is_left_out(size: int) -> None:
    ids = encoded("answer 😀🙂")
    start = len(encoded("answer "))
    text = counted(said([[token] for token in ids[: start + size]], "answer"))[3]
    assert text == WORDS.decode(ids[: start + size]).rstrip("\N{REPLACEMENT CHARACTER}")


def test_a_prompt_is_said_first_and_is_no_token_of_the_completion() -> None:
    engine = Fed([encoded("5"), [EOS[0]]])
    saids = said(engine, "answer", echo="7x = ")
    assert counted(saids)[0] == 2
    assert counted(saids)[3] == "7x = 5"
    assert engine.requests[0].prompt_ids == PROMPT


def _whole(saids: Any) -> FullCompletion:
    whole = FullCompletion()
    for chunk in saids:
        whole.add(chunk)
    return whole
