"""Rows of public data sets as problems: one function per schema, with the fields as published.

A reader returns a problem whose message is the bare question (prompts.py adds the wording), or None
for a row that the set's own rule leaves out. It raises ValueError with a phrase, as
`files.json_lines.bad_lines` takes, for a row that cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from r1kit.files.json_lines import JsonRow
from r1kit.tasks.code import CodeTask
from r1kit.tasks.row_verifiers import VERIFIERS, Cells, final_text
from r1kit.types import Message, Problem
from r1kit.verify.choice import shuffle_options
from r1kit.verify.instructions import read_instructions
from r1kit.verify.statements.letters import LETTERS

RowReader = Callable[[JsonRow, str, str], Problem | None]
"""(row, name of the benchmark, the row's number) → problem"""

GPQA_SEED = 0
"""seed of the order of options, which depends on the question as well and never on the process"""


def math_rows(
    question: tuple[str, ...], answer: tuple[str, ...], language: str = "en"
) -> RowReader:
    """Read a question and a mathematical answer, whose names are the first that a row has."""

    def read(row: JsonRow, name: str, number: str) -> Problem:
        text, gold = require_text(row, *question), final_text(value_of(row, *answer))
        kind, why = VERIFIERS["math"].kind(gold, {})
        if kind == "refused":
            raise ValueError(f"has a gold answer that {why}: {gold[:60]!r}")
        subject = row.get("subject") or row.get("level") or ""
        return problem_of(name, number, text, gold, language, {"subject": str(subject)})

    return read


def choice_rows(
    question: str, options: str | tuple[str, ...], answer: str, subject: str = "subject"
) -> RowReader:
    """Read options from a list, or from one column each; the answer is a letter or an index."""

    def read(row: JsonRow, name: str, number: str) -> Problem:
        listed = row.get(options) if isinstance(options, str) else [row.get(x) for x in options]
        return choice_problem(
            row, name, number, require_text(row, question), listed, row.get(answer),
            str(row.get(subject) or ""),
        )  # fmt: skip

    return read


def chinese(reader: RowReader) -> RowReader:
    """Return a reader whose questions are in Chinese."""
    return _in_language(reader, "zh")


def kmmlu(row: JsonRow, name: str, number: str) -> Problem:
    """Read KMMLU, whose answers count from 1."""
    answer = row.get("answer")
    if isinstance(answer, str) and answer.strip().isdecimal():
        answer = int(answer)
    if not isinstance(answer, int) or isinstance(answer, bool) or not 1 <= answer <= 4:
        raise ValueError('has no number from 1 to 4 at "answer"')
    options = [row.get(x) for x in "ABCD"]
    subject = str(row.get("Category") or row.get("category") or "")
    problem = choice_problem(
        row, name, number, require_text(row, "question"), options, LETTERS[answer - 1], subject
    )
    return _with_language(problem, "ko")


def mmlu_redux(row: JsonRow, name: str, number: str) -> Problem | None:
    """Read MMLU-Redux 2.0: sound questions, and those whose wrong answer has a correction."""
    fault, answer = row.get("error_type"), row.get("answer")
    if fault == "wrong_groundtruth":
        answer = row.get("correct_answer")
        if str(answer).strip() not in {*"ABCD", *"0123"}:
            return None
    elif fault != "ok":
        return None
    return choice_problem(
        row, name, number, require_text(row, "question"), row.get("choices"), answer,
        str(row.get("subject") or ""),
    )  # fmt: skip


def gpqa(row: JsonRow, name: str, number: str) -> Problem:
    """Read GPQA, whose options are shuffled by the question's text."""
    question = require_text(row, "Question")
    wrong = [require_text(row, f"Incorrect Answer {i}") for i in (1, 2, 3)]
    options = [text.strip() for text in (require_text(row, "Correct Answer"), *wrong)]
    shuffled, letter = shuffle_options(options, 0, GPQA_SEED, question)
    subject = str(row.get("High-level domain") or "")
    return choice_problem(row, name, number, question, shuffled, letter, subject)


def code_rows(task: CodeTask) -> RowReader:
    """Read the rows of a programming set, as its task does."""

    def read(row: JsonRow, name: str, number: str) -> Problem | None:
        try:
            problem = task.read_row(row)
        except (KeyError, TypeError, AttributeError, SyntaxError) as error:
            raise ValueError(
                f"does not read as {task.name} ({type(error).__name__}: {error})"
            ) from None
        return problem and problem_of(
            name, problem.id.partition("/")[2], problem.messages[-1].content, problem.answer,
            problem.language, problem.meta | {"code_task": task.name},
        )  # fmt: skip

    return read


def ifeval(row: JsonRow, name: str, number: str) -> Problem:
    """Read IFEval, whose prompts carry instructions instead of a gold answer."""
    prompt, key = require_text(row, "prompt"), str(row.get("key", number))
    return problem_of(name, key, prompt, "", "en", {"instructions": read_instructions(row)})


def fact_rows(question: str, answer: str) -> RowReader:
    """Read a question and a gold answer in words, which a judge compares with the model's."""

    def read(row: JsonRow, name: str, number: str) -> Problem:
        gold = require_text(row, answer)
        return problem_of(name, number, require_text(row, question), gold, "en", {})

    return read


def alpacaeval(row: JsonRow, name: str, number: str) -> Problem:
    """Read AlpacaEval, whose gold answer is that of the baseline."""
    meta = {"subject": str(row.get("dataset") or ""), "baseline": str(row.get("generator") or "")}
    instruction, output = require_text(row, "instruction"), require_text(row, "output")
    return problem_of(name, number, instruction, output, "en", meta)


def arenahard(row: JsonRow, name: str, number: str) -> Problem:
    """Read ArenaHard, whose baseline's answer has been added at "baseline" (load.py)."""
    turns = row.get("turns")
    first = turns[0] if isinstance(turns, list) and turns and isinstance(turns[0], dict) else {}
    question = require_text({"turns": first.get("content")}, "turns")
    key, meta = str(row.get("question_id") or number), {"subject": str(row.get("cluster") or "")}
    return problem_of(name, key, question, require_text(row, "baseline"), "en", meta)


def choice_problem(
    row: JsonRow, name: str, number: str, question: str, options: Any, answer: Any, subject: str
) -> Problem:
    """Build a multiple-choice problem; raises ValueError as readers do.

    A letter is the place of an option, even if another option has that letter as its text.
    """
    letter = answer.strip().upper() if isinstance(answer, str) else ""
    if len(letter) == 1 and letter in LETTERS:
        answer = LETTERS.index(letter)
    cells: Cells = {"problem": question, "options": options, "answer": answer}
    gold, meta = VERIFIERS["choice"].read(cells)
    return problem_of(name, number, question, gold, "en", meta | {"subject": subject})


def problem_of(
    name: str, key: str, question: str, gold: str, language: str, meta: dict[str, Any]
) -> Problem:
    """Build a problem whose id is the benchmark's name and the key."""
    return Problem(f"{name}/{key}", name, (Message("user", question),), gold, language, meta)


def value_of(row: JsonRow, *names: str) -> Any:
    """Return the value at the first of some names that a row has."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def require_text(row: JsonRow, *names: str) -> str:
    """Return the text at the first of some names. Raises ValueError without one."""
    value = value_of(row, *names)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'has no text at "{names[0]}"')
    return value


def _in_language(reader: RowReader, language: str) -> RowReader:
    def read(row: JsonRow, name: str, number: str) -> Problem | None:
        problem = reader(row, name, number)
        return problem and _with_language(problem, language)

    return read


def _with_language(problem: Problem, language: str) -> Problem:
    return Problem(
        problem.id, problem.task, problem.messages, problem.answer, language, problem.meta
    )
