"""Completions split into thinking and answer; rl-pitfalls 37, 38."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.renderers.thinking import completion_text, parse
from r1kit.types import ParsedCompletion
from tests.renderers.dialects import CONTROL

harmless = st.text().filter(lambda text: not any(token in text for token in CONTROL))


PARSED = {
    "<think>try 5\nwait</think>\n\\boxed{5}": ParsedCompletion("try 5\nwait", "\\boxed{5}", True),
    "\\boxed{5}": ParsedCompletion(None, "\\boxed{5}", False),
    "": ParsedCompletion(None, "", False),
    "<think>try 5 \\boxed{5}": ParsedCompletion("try 5 \\boxed{5}", None, False),
    "5 <think>try 5": ParsedCompletion("try 5", None, False),
    "<think>": ParsedCompletion("", None, False),
    "<think> \n</think>5": ParsedCompletion("", "5", False),
    "<think>a</think> \n": ParsedCompletion("a", "", False),
    "\n<think>a</think>5": ParsedCompletion("a", "5", False),
    "so <think>a</think>5": ParsedCompletion("a", "so 5", False),
    "<think>a<think>b</think>5": ParsedCompletion("a<think>b", "5", False),
    "<think>a</think>5</think>6": ParsedCompletion("a", "5</think>6", False),
    "<think>a</think>5<think>b</think>6": ParsedCompletion("a", "5<think>b</think>6", False),
    "a</think>5": ParsedCompletion(None, "a</think>5", False),
    "<THINK>a</THINK>5": ParsedCompletion(None, "<THINK>a</THINK>5", False),
}


@pytest.mark.parametrize(("text", "parsed"), PARSED.items())
def test_parse(text: str, parsed: ParsedCompletion) -> None:
    assert parse(text) == parsed


OPENED = {
    "try 5</think>5": ParsedCompletion("try 5", "5", True),
    "try 5": ParsedCompletion("try 5", None, False),
    "<think>try 5</think>5": ParsedCompletion("<think>try 5", "5", False),
    "</think>5": ParsedCompletion("", "5", False),
}


@pytest.mark.parametrize(("text", "parsed"), OPENED.items())
def test_parse_after_a_tag_in_the_prompt(text: str, parsed: ParsedCompletion) -> None:
    assert parse(text, opened=True) == parsed


@given(harmless, harmless)
def test_what_is_written_is_parsed_back(reasoning: str, answer: str) -> None:
    parsed = parse(completion_text(reasoning, answer))
    blank = not reasoning.strip() or not answer.strip()
    assert parsed == ParsedCompletion(reasoning.strip(), answer.strip(), not blank)
    assert parse(completion_text(None, answer)) == ParsedCompletion(None, answer.strip(), False)


@pytest.mark.parametrize(("reasoning", "answer"), [("a</think>", "5"), ("a", "<think>5")])
def test_parts_with_tags_are_not_written(reasoning: str, answer: str) -> None:
    with pytest.raises(ValueError, match="thinking tags"):
        completion_text(reasoning, answer)
