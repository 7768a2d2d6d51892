"""r1kit's own dialect: prompts, turns and documents; rl-pitfalls 9, 10."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from r1kit.renderers import renderer_of
from r1kit.renderers.base import RenderedPrompt
from r1kit.renderers.encoding import encode_text
from r1kit.renderers.r1kit import ASSISTANT, BOS, EOS, USER, document_text
from r1kit.renderers.thinking import END_THINK, THINK
from r1kit.types import Message
from tests.renderers.dialects import CONTROL, RENDERER, TOKENIZER, ids

Part = Literal["start", "thinking", "answer"]


harmless = st.text().filter(lambda text: not any(token in text for token in CONTROL))


roles = st.sampled_from(["system", "user", "assistant"])


def hugging_face_prompt(messages: list[Message]) -> list[int]:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return list(TOKENIZER.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))


def test_a_prompt_is_bos_system_user_assistant() -> None:
    messages = [Message("user", "Solve 7 x + 3 = 38."), Message("system", "be brief")]
    text = TOKENIZER.decode(RENDERER.render_prompt(messages))
    assert text == f"{BOS}be brief{USER}Solve 7 x + 3 = 38.{ASSISTANT}"


def test_past_thinking_is_dropped_and_past_turns_end() -> None:
    messages = [
        Message("user", "7"),
        Message("assistant", "<think>a</think> b</think>5", reasoning="never shown"),
        Message("user", "8"),
    ]
    expected = ids(BOS, USER, "7", ASSISTANT, "5", EOS)
    expected += ids(USER, "8", ASSISTANT)
    assert RENDERER.render_prompt(messages) == expected
    assert hugging_face_prompt(messages) == expected


@given(st.lists(st.builds(Message, roles, harmless), min_size=1, max_size=4))
def test_harmless_prompts_equal_the_chat_template(messages: list[Message]) -> None:
    assert RENDERER.render_prompt(messages) == hugging_face_prompt(messages)


@given(st.lists(st.sampled_from(CONTROL) | st.text(max_size=4), max_size=6).map("".join))
def test_people_cannot_write_control_tokens(text: str) -> None:
    prompt = RENDERER.render_prompt([Message("user", text)])
    assert prompt[:2] == ids(BOS, USER)
    assert prompt[-1:] == ids(ASSISTANT)
    assert not set(prompt[2:-1]) & set(ids(*CONTROL))
    assert TOKENIZER.decode(prompt[2:-1]) == text


def test_an_exchange_ends_and_a_page_goes_on() -> None:
    assert document_text("1+1=?", "2") == (f"{BOS}{USER}1+1=?{ASSISTANT}2{EOS}")
    assert document_text(None, "1+1=2") == f"{BOS}1+1=2"


QUESTION = [Message("user", "7x + 3")]


PROMPT = RENDERER.render_prompt(QUESTION)


OPEN, CLOSE = ids(THINK), ids(END_THINK)


@pytest.mark.parametrize(
    ("thinks", "turn", "expected", "part", "has_text"),
    [
        (True, None, [OPEN], "thinking", False),
        (False, None, [OPEN, CLOSE], "answer", False),
        (True, Message("assistant", "", "try"), [OPEN, "try"], "thinking", True),
        (True, Message("assistant", "x ="), [OPEN, CLOSE, "x ="], "answer", True),
        (False, Message("assistant", "x ="), [OPEN, CLOSE, "x ="], "answer", True),
        (True, Message("assistant", "x", "try"), [OPEN, "try", CLOSE, "x"], "answer", True),
    ],
)
def test_a_turn_is_opened_in_its_thinking_or_in_its_answer(
    thinks: bool, turn: Message | None, expected: list[str | list[int]], part: Part, has_text: bool
) -> None:
    rendered_prompt = RENDERER.continuation_prompt(QUESTION, thinks, turn)
    parts = [encode_text(TOKENIZER, p) if isinstance(p, str) else p for p in expected]
    assert rendered_prompt == RenderedPrompt(sum(parts, PROMPT), part, has_text)


def test_a_turn_of_a_model_without_thinking_has_no_tags() -> None:
    plain = PreTrainedTokenizerFast(tokenizer_object=TOKENIZER.backend_tokenizer)
    rendered_prompt = renderer_of(plain).continuation_prompt(QUESTION, True)
    assert rendered_prompt == RenderedPrompt(renderer_of(plain).render_prompt(QUESTION), "start")
    assert not renderer_of(plain).has_thinking
    assert RENDERER.has_thinking
