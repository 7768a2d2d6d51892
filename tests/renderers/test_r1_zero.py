"""R1-Zero's prompt, and answers between their tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.types import Message, ParsedCompletion
from tests.renderers.dialects import RENDERERS, tagged_text


def test_the_prompt_of_r1_zero_is_that_of_table_1() -> None:
    renderer = RENDERERS["r1-zero"]
    prompt = renderer.tokenizer.decode(renderer.render_prompt([Message("user", "What is 1+1?")]))
    assert prompt == (
        "<s>A conversation between User and Assistant. The user asks a question, and the Assistant "
        "solves it. The assistant first thinks about the reasoning process in the mind and then "
        "provides the user with the answer. The reasoning process and answer are enclosed within "
        "<think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning "
        "process here </think> <answer> answer here </answer>. User: What is 1+1? Assistant:"
    )
    talk = [Message("user", "1+1"), Message("assistant", "a</think>2"), Message("user", "2+2")]
    assert renderer.tokenizer.decode(renderer.render_prompt(talk)).endswith(
        " User: 1+1. Assistant: <answer> 2 </answer> User: 2+2. Assistant:"
    )
    prefilled = RENDERERS["r1-zero, prefilled"]
    assert prefilled.show_prompt(talk) == f"{renderer.show_prompt(talk)} <think>"


@given(question=tagged_text, is_forged=st.booleans())
def test_a_question_ends_with_one_full_stop(question: str, is_forged: bool) -> None:
    question = f"{question}{'<s>' * is_forged}{question}"
    shown = RENDERERS["r1-zero"].show_prompt([Message("user", question)])
    ending = "" if question[-1:] in ("", ".", "?", "!") else "."
    assert shown.endswith(f" User: {question}{ending} Assistant:")


ZERO = {
    " <think> try </think> <answer> 5 </answer>": ParsedCompletion("try", "5", True),
    "<think>try</think>\n<answer>5</answer>\n": ParsedCompletion("try", "5", True),
    "<think>try</think>5": ParsedCompletion("try", "5", False),
    "<think>try</think><answer>5": ParsedCompletion("try", "5", False),
    "<think>try</think>so <answer>5</answer>": ParsedCompletion("try", "so 5", False),
    "<think>try</think><answer>5</answer> User: 6": ParsedCompletion("try", "5", False),
    "<think>try</think><answer> </answer>": ParsedCompletion("try", "", False),
    "<think>try</think><answer>5<answer>6</answer>": ParsedCompletion("try", "5<answer>6", False),
    "<think>try <answer>5</answer>": ParsedCompletion("try <answer>5</answer>", None, False),
    "<answer>5</answer>": ParsedCompletion(None, "5", False),
    "5": ParsedCompletion(None, "5", False),
}


@pytest.mark.parametrize(("text", "parsed"), ZERO.items())
def test_answers_of_r1_zero_are_between_their_tags(text: str, parsed: ParsedCompletion) -> None:
    assert RENDERERS["r1-zero"].parse(text) == parsed


PREFILLED = {
    " try </think> <answer> 5 </answer>": ParsedCompletion("try", "5", True),
    "try</think><answer>5</answer>": ParsedCompletion("try", "5", True),
    "try</think>5": ParsedCompletion("try", "5", False),
    "</think><answer>5</answer>": ParsedCompletion("", "5", False),
    "<think>try</think><answer>5</answer>": ParsedCompletion("<think>try", "5", False),
    "try <answer>5</answer>": ParsedCompletion("try <answer>5</answer>", None, False),
}


@pytest.mark.parametrize(("text", "parsed"), PREFILLED.items())
def test_completions_of_a_prefilled_prompt_begin_inside_the_thinking(
    text: str, parsed: ParsedCompletion
) -> None:
    assert RENDERERS["r1-zero, prefilled"].parse(text) == parsed
