"""Conversations in the shapes in which data sets publish them, read as messages.

    messages        role and content, the thinking in the content or as `reasoning_content` (TRL)
    conversations   from and value (ShareGPT), with OpenThoughts' markers of thought and solution
    generations     several completions of a problem, with their correctness (open-r1)
    prompt          and completion or response, texts or messages (TRL)
    instruction     with input and output (Alpaca), or context and response (Dolly)
    question        and thinking and answer in columns of their own

The thinking of a turn is between `<think>` tags, or OpenThoughts' markers, or in a key of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from r1kit.renderers.thinking import END_THINK, THINK, parse_foreign
from r1kit.types import Json, Message

QUESTIONS = ("problem", "question", "prompt", "instruction", "query", "input")
THINKING = (
    "reasoning_content", "reasoning", "thinking", "deepseek_reasoning", "think_content",
    "deepseek_thinking_trajectory",
)  # fmt: skip
ANSWERS = (
    "completion", "response", "output", "deepseek_solution", "deepseek_attempt", "attempt",
    "answer_content", "solution", "answer",
)  # fmt: skip
_ROLES: dict[Any, Literal["system", "user", "assistant"]] = {
    "system": "system", "developer": "system", "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
_BEGIN_THOUGHT, _END_THOUGHT = "<|begin_of_thought|>", "<|end_of_thought|>"
_MARKERS = re.compile(r"<\|(?:begin|end)_of_solution\|>")
_ANSWER_TAGS = re.compile(r"^\s*<answer>(.*?)(?:</answer>\s*)?$", re.DOTALL)


def is_conversation(row: Json) -> bool:
    """True if a row has the keys of one of the shapes; its values may still be unusable."""
    turns = next((row[key] for key in ("messages", "conversations") if row.get(key)), None)
    if isinstance(turns, list) and isinstance(turns[-1], dict):
        return _role(turns[-1]) == "assistant"
    has_question = _first(row, QUESTIONS) is not None
    has_thinking = _first(row, THINKING) is not None and _first(row, ANSWERS) is not None
    return has_question and (
        has_thinking or any(row.get(key) for key in ("generations", "completion", "response"))
        or bool(row.get("instruction") and row.get("output"))
    )  # fmt: skip


def conversation_messages(row: Json) -> tuple[Message, ...]:
    """Return the turns of a conversation, the last one the assistant's.

    Raises ValueError with a phrase. A last turn whose thinking never ends has the content "".
    """
    turns = next((row[key] for key in ("messages", "conversations") if row.get(key)), None)
    if turns is not None:
        messages = turns_of(turns)
    elif row.get("generations"):
        messages = (*_question(row), _assistant(_chosen_generation(row), None))
    else:
        messages = (*_question(row), *_completion(row))
    if messages[-1].role != "assistant":
        raise ValueError('has "messages" that do not end with the assistant')
    return messages


def prompt_messages(row: Json) -> tuple[Message, ...]:
    """Return only the prompt of a row: its question, or its turns up to the last of the user."""
    turns = next((row[key] for key in ("messages", "conversations") if row.get(key)), None)
    messages = _question(row) if turns is None else turns_of(turns)
    while messages and messages[-1].role == "assistant":
        messages = messages[:-1]
    return messages


def turns_of(turns: Any) -> tuple[Message, ...]:
    """Return a list of turns, with `role` and `content` or `from` and `value`, as messages."""
    if (
        not isinstance(turns, list)
        or not turns
        or not all(isinstance(turn, dict) for turn in turns)
    ):
        raise ValueError('has no "messages" with a role and a content each')
    messages = [_turn(turn) for turn in turns]
    if any(_BEGIN_THOUGHT in str(turn.get("value", turn.get("content"))) for turn in turns):
        # OpenThoughts' system message asks for its markers, which are gone now.
        messages = [message for message in messages if message.role != "system"]
    return tuple(messages)


def split_thinking(text: str) -> tuple[str | None, str]:
    """Split a completion into thinking, None if it has none, and answer, "" if it never comes."""
    if _BEGIN_THOUGHT in text or _END_THOUGHT in text:
        text = text.replace(_BEGIN_THOUGHT, THINK).replace(_END_THOUGHT, END_THINK)
        text = _MARKERS.sub("", text)
    if THINK not in text and END_THINK not in text:
        return None, text.strip()
    parsed = parse_foreign(text)
    answer = parsed.answer or ""
    if tagged := _ANSWER_TAGS.match(answer):
        answer = tagged[1].strip()
    return parsed.thinking, answer


def _turn(turn: Mapping[str, Any]) -> Message:
    role, content = _role(turn), turn.get("content", turn.get("value"))
    thinking = [turn.get(key) for key in ("reasoning_content", "reasoning", "thinking")]
    if isinstance(content, list):  # parts, as of the OpenAI API
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    if role is None or not isinstance(content, str):
        raise ValueError('has no "messages" with a role and a content each')
    if any(text is not None and not isinstance(text, str) for text in thinking):
        raise ValueError('has "messages" whose thinking is no text')
    if role != "assistant":
        return Message(role, content)
    return _assistant(content, next((text for text in thinking if text), None))


def _assistant(content: str, thinking: str | None) -> Message:
    if thinking is not None:
        return Message("assistant", content, thinking)
    reasoning, answer = split_thinking(content)
    return Message("assistant", content if reasoning is None else answer, reasoning)


def _role(turn: Mapping[str, Any]) -> Literal["system", "user", "assistant"] | None:
    role = turn.get("role", turn.get("from"))
    return _ROLES.get(role) if isinstance(role, str) else None


def _question(row: Json) -> tuple[Message, ...]:
    question = _first(row, QUESTIONS)
    if isinstance(question, list):
        return turns_of(question)
    if not isinstance(question, str) or not question.strip():
        raise ValueError('has no "messages", and no question as a text')
    more = row.get("input") or row.get("context") if row.get("instruction") else None
    if isinstance(more, str) and more.strip():
        question = f"{question}\n\n{more}"
    system = row.get("system")
    before = (Message("system", system),) if isinstance(system, str) and system.strip() else ()
    return (*before, Message("user", question))


def _completion(row: Json) -> tuple[Message, ...]:
    answer, thinking = _first(row, ANSWERS), _first(row, THINKING)
    if isinstance(thinking, list) and len(thinking) == 1:
        [thinking] = thinking
    if isinstance(answer, list) and answer and isinstance(answer[0], dict):
        return turns_of(answer)
    if isinstance(answer, list) and len(answer) == 1:
        [answer] = answer
    if not isinstance(answer, str) or not (thinking is None or isinstance(thinking, str)):
        raise ValueError('has no "messages", and no answer as a text')
    return (_assistant(answer, thinking),)


def _chosen_generation(row: Json) -> str:
    """Return the first completion that is complete and correct, as far as the row says so."""
    generations = row["generations"]
    if not isinstance(generations, list) or not all(isinstance(item, str) for item in generations):
        raise ValueError('has "generations" that are no list of texts')
    keys = ("correctness_math_verify", "correctness_llama", "is_reasoning_complete")
    marks = [row.get(key) for key in keys]
    judged = [mark for mark in marks if isinstance(mark, list) and len(mark) == len(generations)]
    scores = [sum(bool(mark[i]) for mark in judged) for i in range(len(generations))]
    return str(generations[max(range(len(generations)), key=lambda i: scores[i])])


def _first(row: Json, keys: Sequence[str]) -> Any:
    return next((row[key] for key in keys if row.get(key) is not None), None)
