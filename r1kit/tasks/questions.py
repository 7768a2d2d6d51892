"""Read a file of questions with final answers: one JSON object per line, verified as mathematics.

    {"problem": "7x + 3 = 38, x = ?", "answer": "5"}
    {"id": 12, "messages": [{"role": "user", "content": "..."}], "answer": "\\\\frac{1}{2}"}

`question` means the same as `problem`. The default id is the file's name and the line number; the
default language is that of most words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r1kit.errors import TaskError
from r1kit.files.json_lines import JsonRow, converted_rows, require_text
from r1kit.types import Message, Problem, Verdict
from r1kit.verify.language import LANGUAGES, language_of
from r1kit.verify.math import check_math

ROLES = ("system", "user", "assistant")


def read_problems(path: Path) -> list[Problem]:
    """Read the problems in order. Raises TaskError that lists the invalid lines."""
    lines: dict[str, int] = {}

    def convert(number: int, row: JsonRow) -> Problem:
        problem = _problem(row, path.stem, number)
        if problem.id in lines:
            raise ValueError(f"has the id of line {lines[problem.id]}")
        lines[problem.id] = number
        return problem

    content = 'a problem: {"problem": "...", "answer": "..."}'
    return converted_rows(path, convert, TaskError, content)


def read_questions(path: Path) -> list[str]:
    """Read only the questions, answered or not. Raises TaskError that lists lines without one."""

    def convert(_: int, row: JsonRow) -> str:
        return "\n".join(message.content for message in _messages(row))

    return converted_rows(path, convert, TaskError, 'a question: {"question": "..."}')


def verify(problem: Problem, answer: str) -> Verdict:
    """Compare the answer part with the problem's gold answer."""
    return check_math(answer, problem.answer)


def _problem(row: JsonRow, stem: str, number: int) -> Problem:
    messages = _messages(row)
    answer, name = row.get("answer"), row.get("id", f"{stem}/{number}")
    if isinstance(answer, (int, float)) and not isinstance(answer, bool):
        answer = str(answer)
    if not isinstance(answer, str) or not answer.strip():
        raise ValueError('has no text at "answer"')
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise ValueError('has no text or number at "id"')
    language = row.get("language", language_of(messages[-1].content))
    if language not in LANGUAGES:
        raise ValueError(f'has a "language" that is not one of {", ".join(LANGUAGES)}')
    return Problem(_valid_text(str(name)), stem, messages, _valid_text(answer), language)


def _messages(row: JsonRow) -> tuple[Message, ...]:
    text = row.get("problem", row.get("question"))
    if isinstance(text, str) and text.strip():
        return (Message("user", _valid_text(text)),)
    turns = row.get("messages")
    if not isinstance(turns, list) or not turns:
        raise ValueError('has no text at "problem", and no "messages"')
    messages = tuple(_message(turn) for turn in turns)
    if messages[-1].role != "user":
        raise ValueError('has "messages" that do not end with the user')
    return messages


def _message(turn: Any) -> Message:
    role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, dict) else (0, 0)
    if role not in ROLES or not isinstance(content, str) or not content.strip():
        raise ValueError(f'has "messages" without a role ({", ".join(ROLES)}) or a content')
    return Message(role, _valid_text(content))


def _valid_text(text: str) -> str:
    require_text(text)
    return text
