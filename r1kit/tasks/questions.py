"""Read a file of questions with answers, of any format (files/rows.py) and with any column names.

    {"problem": "7x + 3 = 38, x = ?", "answer": "5"}
    {"id": 12, "messages": [{"role": "user", "content": "..."}], "answer": "\\\\frac{1}{2}"}

tasks/columns.py guesses the columns. The default id is the file's name and the row's number; the
default language is that of most words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from r1kit.errors import DataError
from r1kit.files.json_lines import JsonRow, bad_lines
from r1kit.files.rows import Faults, RowWatch, first_rows, numbered_rows, source_stem, unit_of
from r1kit.tasks.columns import GUESSES, N_ROWS_SEEN, ColumnMap, cell, column_names, map_columns
from r1kit.tasks.row_verifiers import VERIFIERS, RowVerifier, guess_verifier, type_note
from r1kit.types import Json, Message, Problem
from r1kit.verify.language import LANGUAGES, language_of

ROLES = ("system", "user", "assistant")


class Question(NamedTuple):
    """A row of a file: `Question(3, "q/3", (Message("user", "1+1?"),), "2", "", {})`."""

    number: int
    """line or row in the file"""
    id: str
    messages: tuple[Message, ...]
    answer: str
    language: str
    """language code; empty if the file has none"""
    meta: Json
    """data that the verifier needs besides the answer"""

    def text(self, verifier: RowVerifier) -> str:
        """Return what is asked, each run of spaces as one; equal texts are equal questions."""
        turns = (verifier.question(message.content, self.meta) for message in self.messages)
        return " ".join("\n".join(turns).split())

    def problem(self, task: str, verifier: RowVerifier, instruction: str) -> Problem:
        """Return the problem as the model reads it, with the instruction after the question."""
        *before, last = self.messages
        asked = verifier.question(last.content, self.meta)
        language = self.language or language_of(asked)
        if instruction:
            asked += ("\n" if "\n" in asked else " ") + instruction
        messages = (*before, Message("user", asked))
        return Problem(self.id, task, messages, self.answer, language, self.meta)


@dataclass
class QuestionFile:
    """A file of questions as it was read, with everything that cannot be used."""

    source: str
    verifier: RowVerifier
    columns: ColumnMap
    questions: list[Question] = field(default_factory=list)
    """rows that can be used, each question once"""
    invalid: Faults = field(default_factory=list)
    """rows with missing or wrongly typed values"""
    refused: Faults = field(default_factory=list)
    """rows whose gold answer the verifier cannot decide"""
    repeated: Faults = field(default_factory=list)
    """rows whose question has occurred before"""
    gold_kinds: Counter[str] = field(default_factory=Counter)
    """how answers to the golds are decided → number of rows"""

    @property
    def n_rows(self) -> int:
        n_unused = len(self.invalid) + len(self.refused) + len(self.repeated)
        return len(self.questions) + n_unused

    def error(self) -> DataError | None:
        """Return the error for rows that cannot be used, which lists the first of them."""
        bad = sorted(self.invalid + self.refused)
        if not bad:
            return None
        listed = bad_lines(self.source, bad, unit_of(self.source))
        return DataError(
            f"{listed}. {len(bad):,} of {self.n_rows:,} rows cannot be used: correct them, map the "
            'columns, or leave such rows out with on_bad_rows = "skip".'
        )

    def note(self, name: str) -> str | None:
        """Return a sentence about rows that are left out; None if there are none."""
        counts = {
            "missing or wrongly typed values": len(self.invalid),
            "a gold answer that the verifier refuses": len(self.refused),
            "a question that occurred before": len(self.repeated),
        }
        parts = [f"{n:,} with {what}" for what, n in counts.items() if n]
        if not parts:
            return None
        return (
            f"Task {name}: of {self.n_rows:,} rows of {self.source}, {', '.join(parts)} left out."
        )


def read_question_file(
    source: str,
    verifier: str | None,
    given: Mapping[str, str],
    *,
    is_second: bool = False,
    watch: RowWatch = iter,
) -> QuestionFile:
    """Read all rows of a source. Raises DataError if it cannot be read or lacks a needed column.

    `verifier` is a name, by default guessed from the columns. `given` maps roles to columns;
    `is_second` ignores those that this file does not have.
    """
    faults: Faults = []
    head, rows = first_rows(watch(numbered_rows(source, faults)), N_ROWS_SEEN)
    seen = [row for _, row in head]
    if is_second:
        given = {role: name for role, name in given.items() if any(cell(r, name) for r in seen)}
    columns = map_columns(source, seen, given)
    chosen = VERIFIERS[verifier or guess_verifier(columns)]
    _refuse_missing(source, seen, columns, chosen.needs, faults)
    file = QuestionFile(source, chosen, columns, invalid=faults)
    reader = _RowReader(file, set(given))
    for number, row in rows:
        reader.add(number, row)
    return file


class _RowReader:
    """Adds rows to a file of questions."""

    def __init__(self, file: QuestionFile, given: set[str]) -> None:
        self.file = file
        self.given = given
        self.stem = source_stem(file.source)
        self.unit = unit_of(file.source)
        self.lines: dict[str, int] = {}
        self.texts: dict[str, Question] = {}

    def add(self, number: int, row: JsonRow) -> None:
        file = self.file
        try:
            question = self.question(number, row)
        except ValueError as error:
            file.invalid.append((number, _with_columns(str(error), file.columns)))
            return
        kind, why = file.verifier.kind(question.answer, question.meta)
        file.gold_kinds[kind] += 1
        if kind == "refused":
            shown = " ".join(question.answer.split())[:60]
            file.refused.append((number, f"has a gold answer that {why}: {shown!r}"))
            return
        text = question.text(file.verifier)
        if (first := self.texts.setdefault(text, question)) is not question:
            other = "" if first.answer == question.answer else ", with another answer"
            file.repeated.append((number, f"repeats {self.unit} {first.number}{other}"))
            return
        file.questions.append(question)

    def question(self, number: int, row: JsonRow) -> Question:
        columns, verifier = self.file.columns, self.file.verifier
        cells: dict[str, Any] = {role: cell(row, column) for role, column in columns.items()}
        if cells.get("problem") is None and "problem" not in self.given:
            cells["problem"] = problem_cell(row)
        messages = (
            (Message("user", ""),)
            if cells.get("problem") is None and "problem" not in verifier.needs
            else messages_of(cells.get("problem"))
        )
        answer, meta = verifier.read(cells)
        name = self._id(number, cells.get("id"))
        return Question(number, name, messages, answer, self._language(cells), meta)

    def _id(self, number: int, value: Any) -> str:
        name = f"{self.stem}/{number}" if value is None else value
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            raise ValueError('has no text or number at "id"')
        if (first := self.lines.setdefault(str(name), number)) != number:
            raise ValueError(f"has the id of {self.unit} {first}")
        return str(name)

    def _language(self, cells: Mapping[str, Any]) -> str:
        """Return the language of a row; a guessed column may be of other things ("python")."""
        value = cells.get("language")
        if value in LANGUAGES:
            return str(value)
        if value is not None and "language" in self.given:
            raise ValueError(f'has a "language" that is not one of {", ".join(LANGUAGES)}')
        return ""


def read_problems(source: str | Path) -> tuple[list[Problem], RowVerifier]:
    """Read the problems in order, and their verifier. Raises DataError that lists bad rows."""
    file = read_question_file(str(source), None, {})
    if error := file.error():
        raise error
    name = source_stem(file.source)
    return [item.problem(name, file.verifier, "") for item in file.questions], file.verifier


def read_questions(source: str | Path) -> list[str]:
    """Read only the questions, answered or not. Raises DataError that lists rows without one."""
    bad: Faults = []
    head, rows = first_rows(numbered_rows(str(source), bad), N_ROWS_SEEN)
    seen = [row for _, row in head]
    columns = map_columns(str(source), seen, {})
    _refuse_missing(str(source), seen, columns, ("problem",), bad)
    texts = []
    for number, row in rows:
        try:
            messages = messages_of(problem_cell(row))
            texts.append("\n".join(message.content for message in messages))
        except ValueError as error:
            bad.append((number, _with_columns(str(error), columns)))
    if bad:
        raise DataError(f"{bad_lines(str(source), bad, unit_of(str(source)))}; correct them.")
    return texts


def problem_cell(row: JsonRow) -> Any:
    """Return the question of a row by the first common name that it has."""
    return next((row[name] for name in GUESSES["problem"] if row.get(name) is not None), None)


def messages_of(value: Any) -> tuple[Message, ...]:
    """Return a question, a text or messages, as messages. Raises ValueError."""
    if isinstance(value, str) and value.strip():
        return (Message("user", value),)
    if not isinstance(value, list) or not value:
        raise ValueError(f'has no text at "problem", and no messages{type_note(value)}')
    messages = tuple(_message(turn) for turn in value)
    if messages[-1].role != "user":
        raise ValueError('has "problem" messages that do not end with the user')
    return messages


def _message(turn: Any) -> Message:
    role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, dict) else (0, 0)
    if role not in ROLES or not isinstance(content, str) or not content.strip():
        raise ValueError(f'has "problem" messages without a role ({", ".join(ROLES)}) or a content')
    return Message(role, content)


def _refuse_missing(
    source: str, rows: Sequence[JsonRow], columns: ColumnMap, needs: Sequence[str], bad: Faults
) -> None:
    """Raise DataError for a file without rows, or without a column that is needed."""
    if not rows and bad:
        raise DataError(f"{bad_lines(source, bad, unit_of(source))}. No row can be read.")
    if not rows:
        raise DataError(f"{source} is empty; a row has a problem and an answer.")
    if missing := [role for role in needs if role not in columns]:
        raise DataError(
            f"{source} has no column that is known as {' or '.join(missing)}; it has "
            f'{column_names(rows)}. Map one: columns = {{ {missing[0]} = "..." }}.'
        )


def _with_columns(phrase: str, columns: ColumnMap) -> str:
    """Name the columns of the file in a phrase about roles."""
    for role, column in columns.items():
        phrase = phrase.replace(f'"{role}"', f'"{column}"')
    return phrase
