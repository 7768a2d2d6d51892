"""Conversations as data sets publish them, each shape by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.renderers.shapes import (
    conversation_messages,
    is_conversation,
    prompt_messages,
    split_thinking,
)
from r1kit.types import Json, Message

ASKED = {"role": "user", "content": "1+1?"}
THOUGHT = "<think>\none and one\n</think>\n\n2"
MARKED = (
    "<|begin_of_thought|>\n\none and one\n\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\n2\n\n<|end_of_solution|>"
)
SHAPES: dict[str, Json] = {
    "tags": {"messages": [ASKED, {"role": "assistant", "content": THOUGHT}]},
    "reasoning_content": {
        "messages": [
            ASKED, {"role": "assistant", "content": "2", "reasoning_content": "one and one"},
        ]
    },
    "reasoning": {
        "messages": [ASKED, {"role": "assistant", "content": "2", "reasoning": "one and one"}]
    },
    "begun by the prompt": {
        "messages": [ASKED, {"role": "assistant", "content": "one and one</think>2"}]
    },
    "answer tags": {
        "messages": [
            ASKED,
            {"role": "assistant", "content": "<think>one and one</think><answer> 2 </answer>"},
        ]
    },
    "openthoughts": {
        "system": "Think between <|begin_of_thought|> and <|end_of_thought|>.",
        "conversations": [
            {"from": "user", "value": "1+1?"}, {"from": "assistant", "value": MARKED},
        ],
    },
    "sharegpt": {
        "conversations": [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": THOUGHT}]
    },
    "open-r1": {
        "problem": "1+1?", "answer": "2",
        "generations": ["<think>two and two</think>4", THOUGHT, "<think>and so on"],
        "correctness_math_verify": [False, True, False],
        "is_reasoning_complete": [True, True, False],
    },
    "trl": {"prompt": "1+1?", "completion": THOUGHT},
    "trl messages": {
        "prompt": [ASKED], "completion": [{"role": "assistant", "content": THOUGHT}],
    },
    "columns": {"question": "1+1?", "thinking": "one and one", "response": "2"},
    "s1": {"question": "1+1?", "deepseek_thinking_trajectory": "one and one", "attempt": ["2"]},
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "1+1?"}]},
            {"role": "assistant", "content": THOUGHT},
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("name", list(SHAPES))
def test_every_shape_is_the_same_conversation(name: str) -> None:
    assert is_conversation(SHAPES[name])
    *before, last = conversation_messages(SHAPES[name])
    assert before == [Message("user", "1+1?")]
    assert (last.content, last.reasoning) == ("2", "one and one")


def test_conversations_without_thinking() -> None:
    alpaca = {"instruction": "Sort.", "input": "2, 1", "output": "1, 2"}
    dolly = {"instruction": "Sort.", "context": "2, 1", "response": "1, 2"}
    for row in (alpaca, dolly):
        assert is_conversation(row)
        asked, answer = conversation_messages(row)
        assert asked.content == "Sort.\n\n2, 1"
        assert (answer.content, answer.reasoning) == ("1, 2", None)
    several = {
        "messages": [
            {"role": "developer", "content": "Be brief."}, ASKED,
            {"role": "assistant", "content": THOUGHT}, {"role": "user", "content": "And 2+2?"},
            {"role": "assistant", "content": " 4\n"},
        ]
    }  # fmt: skip
    messages = conversation_messages(several)
    assert [message.role for message in messages] == [
        "system", "user", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert messages[2] == Message("assistant", "2", "one and one")
    assert messages[4].content == " 4\n"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, 'no "messages", and no question'),
        ({"messages": 5}, 'no "messages" with a role'),
        ({"messages": [5]}, 'no "messages" with a role'),
        ({"messages": [ASKED]}, "do not end with the assistant"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "with a role and a content"),
        (
            {"messages": [ASKED, {"role": "assistant", "content": None}]},
            "with a role and a content",
        ),
        (
            {"messages": [ASKED, {"role": "assistant", "content": "2", "reasoning": 5}]},
            "is no text",
        ),
        ({"prompt": "1+1?"}, "no answer as a text"),
        ({"prompt": "1+1?", "completion": ["2", "3"]}, "no answer as a text"),
        ({"problem": "1+1?", "generations": "2"}, "no list of texts"),
        ({"problem": "1+1?", "generations": [2]}, "no list of texts"),
    ],
)
def test_what_is_no_conversation(row: Json, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        conversation_messages(row)


def test_thinking_that_never_ends_has_no_answer() -> None:
    assert split_thinking("<think>and so on") == ("and so on", "")
    assert split_thinking("<|begin_of_thought|>and so on") == ("and so on", "")


@given(st.text(), st.text())
def test_a_split_is_put_together_again(thinking: str, answer: str) -> None:
    if "think" in thinking + answer or "of_" in thinking + answer or "answer>" in answer:
        return
    assert split_thinking(f"<think>{thinking}</think>{answer}") == (
        thinking.strip(), answer.strip(),
    )  # fmt: skip


def test_prompts_alone() -> None:
    assert prompt_messages({"prompt": "1+1?"}) == (Message("user", "1+1?"),)
    assert prompt_messages(SHAPES["tags"]) == (Message("user", "1+1?"),)
    assert prompt_messages(SHAPES["sharegpt"]) == (Message("user", "1+1?"),)
