"""The verifiers that a file of questions can name: what each reads of a row, and how it decides.

math        a number, expression, set ...: verify/math
choice      a letter, or the index or text of one of the options: verify/choice.py
exact       words: verify/exact.py
code        a program against tests, in the sandbox: verify/code
countdown   any expression that makes `target` of `numbers`: verify/expression.py
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, ClassVar

from r1kit.tasks.columns import ColumnRole
from r1kit.types import Json, Problem, Verdict
from r1kit.verify import code
from r1kit.verify.choice import check_choice
from r1kit.verify.exact import check_exact, plain
from r1kit.verify.expression import check_countdown
from r1kit.verify.math import check_math
from r1kit.verify.math.gold import gold_kind
from r1kit.verify.statements.boxes import last_boxed
from r1kit.verify.statements.letters import LETTERS

Cells = Mapping[str, Any]
"""the values of a row by role; a role without a column, or without a value, is missing"""

MIN_SOLUTION_CHARS = 40
"""length from which a text with a box is a solution, of which only the box is the answer"""
_INDEX = re.compile(r"[0-9]+")


class RowVerifier(ABC):
    """Reads the gold of a row and verifies answers against it."""

    name: ClassVar[str]
    needs: ClassVar[tuple[ColumnRole, ...]] = ("problem", "answer")
    """roles without which a file cannot be read"""
    instruction: ClassVar[str] = ""
    """sentence after every question, for a form of answer that the model's prompt does not ask for
    (renderers/adopt.py: its own final answer, or the content of a box)"""

    @abstractmethod
    def read(self, cells: Cells) -> tuple[str, Json]:
        """Return gold answer and `meta` of a row. Raises ValueError with a phrase."""

    def kind(self, answer: str, meta: Json) -> tuple[str, str]:
        """Return how answers to a gold are decided, "refused" if not at all, and why."""
        return "exact", "can be compared"

    @abstractmethod
    def verify(self, problem: Problem, answer: str) -> Verdict:
        """Verify the answer part of a completion."""

    def question(self, text: str, meta: Json) -> str:
        """Return the question as the model reads it, without the instruction."""
        return text

    def gold(self, problem: Problem) -> str | None:
        """Return an answer that must verify; None if none is known."""
        return f"\\boxed{{{problem.answer}}}"


class MathRows(RowVerifier):
    """Rows with a mathematical answer: `5`, `\\frac{1}{2}`, `... #### 5`, a solution with a box."""

    name = "math"

    def read(self, cells: Cells) -> tuple[str, Json]:
        return final_text(cells.get("answer")), {}

    def kind(self, answer: str, meta: Json) -> tuple[str, str]:
        return gold_kind(answer)

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return check_math(answer, problem.answer)


class ExactRows(RowVerifier):
    """Rows whose answer is words."""

    name = "exact"

    def read(self, cells: Cells) -> tuple[str, Json]:
        answer = final_text(cells.get("answer"))
        if not plain(answer):
            raise ValueError("has an empty answer")
        return answer, {}

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return check_exact(answer, problem.answer)


class ChoiceRows(RowVerifier):
    """Rows with a letter as their answer, or the index (from 0) or the text of an option."""

    name = "choice"
    instruction = "Answer with the letter of the right option."

    def read(self, cells: Cells) -> tuple[str, Json]:
        options = _options(cells.get("options"))
        return _letter(cells.get("answer"), options), {"options": options}

    def verify(self, problem: Problem, answer: str) -> Verdict:
        options = problem.meta["options"]
        return check_choice(answer, problem.answer, len(options) or len(LETTERS))

    def question(self, text: str, meta: Json) -> str:
        options = meta["options"]
        lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
        return "\n".join([text, *lines])


class CodeRows(RowVerifier):
    """Rows with tests for a program, in any form that `read_tests` reads."""

    name = "code"
    needs = ("problem", "tests")
    instruction = "Answer with the whole program in one ```python block."

    def read(self, cells: Cells) -> tuple[str, Json]:
        answer = cells.get("answer")
        solution = answer if isinstance(answer, str) else ""
        begun, entry = cells.get("problem"), cells.get("entry_point")
        value, preamble = cells.get("tests"), ""
        if isinstance(begun, str) and isinstance(value, str) and f"def {entry}" in begun:
            # HumanEval: the question is the beginning of the program, with imports and helpers.
            preamble = begun[: begun.rindex(f"def {entry}")]
            value = preamble + value
            solution = solution if f"def {entry}" in solution else begun + solution
        return solution, {"tests": tuple(read_tests(value, entry, solution)), "preamble": preamble}

    def verify(self, problem: Problem, answer: str) -> Verdict:
        tests, preamble = problem.meta["tests"], problem.meta["preamble"]
        program = code.extract_program(answer, tests)
        if program is None:
            return Verdict(False, None, "no program in the answer")
        report = code.check_code(program, tests, code.default_sandbox(), preamble=preamble)
        return report.verdict(program)

    def gold(self, problem: Problem) -> str | None:
        return f"```python\n{problem.answer}\n```" if problem.answer else None


class CountdownRows(RowVerifier):
    """Rows with `numbers` and a `target`, as in Countdown; the file needs no questions."""

    name = "countdown"
    needs = ("numbers", "target")
    instruction = "Answer with the expression."

    def read(self, cells: Cells) -> tuple[str, Json]:
        numbers, target = cells.get("numbers"), cells.get("target")
        if not isinstance(numbers, list) or not numbers or not all(map(_is_count, numbers)):
            raise ValueError("has no list of whole numbers to use")
        if not isinstance(target, int) or isinstance(target, bool):
            raise ValueError("has no whole number as its target")
        return str(target), {"numbers": tuple(numbers), "target": target}

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return check_countdown(answer, problem.meta["numbers"], problem.meta["target"])

    def question(self, text: str, meta: Json) -> str:
        numbers = ", ".join(map(str, meta["numbers"]))
        return text or (
            f"Use the numbers {numbers}, each exactly once, with +, -, * and / to make "
            f"{meta['target']}."
        )

    def gold(self, problem: Problem) -> str | None:
        return None


VERIFIERS: dict[str, RowVerifier] = {
    verifier.name: verifier
    for verifier in (MathRows(), ChoiceRows(), ExactRows(), CodeRows(), CountdownRows())
}


def guess_verifier(columns: Mapping[str, str]) -> str:
    """Return the verifier that fits the columns of a file."""
    by_columns = (("numbers", "countdown"), ("options", "choice"), ("tests", "code"))
    return next((name for role, name in by_columns if role in columns), "math")


def final_text(value: Any) -> str:
    """Return the final answer of an answer cell. Raises ValueError if there is none.

    After GSM8K's `####`, or the last box of a solution (MATH); a number, or a list of one answer.
    """
    if isinstance(value, list) and len(value) == 1:
        [value] = value
    is_number = isinstance(value, int) or (isinstance(value, float) and isfinite(value))
    if is_number and not isinstance(value, bool):
        value = format(Decimal(str(value)), "f")
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'has no text at "answer"{type_note(value)}')
    if "####" in value:
        return value.rpartition("####")[2].strip()
    if len(value) >= MIN_SOLUTION_CHARS and (box := last_boxed(value)) is not None:
        return box
    return value.strip()


def type_note(value: Any) -> str:
    """Describe a value of a wrong type, in brackets; nothing for a missing one."""
    names = {list: "a list", dict: "an object", bool: "true or false", int: "a number",
             float: "a number"}  # fmt: skip
    if value is None or isinstance(value, str):
        return ""
    return f" (it is {names.get(type(value), type(value).__name__)})"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _options(value: Any) -> tuple[str, ...]:
    """Read options: a list, `{"A": ..., "B": ...}`, or ARC's `{"label": [...], "text": [...]}`."""
    if value is None:
        return ()
    if isinstance(value, dict):
        value = value.get("text", [value[key] for key in sorted(value)])
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        raise ValueError(f"has no list of 2 to {len(LETTERS)} options{type_note(value)}")
    if not all(isinstance(option, (str, int, float)) for option in value):
        raise ValueError("has options that are no texts")
    return tuple(map(str, value))


def _letter(value: Any, options: Sequence[str]) -> str:
    """Return the letter of the right option. Raises ValueError if it names none."""
    letters = LETTERS[: len(options) or len(LETTERS)]
    text = str(value).strip() if isinstance(value, (str, int)) else ""
    index = options.index(text) if isinstance(value, str) and text in options else -1
    if index < 0 and options and _INDEX.fullmatch(text[:3]):
        index = int(text[:3])
    if 0 <= index < len(letters) and not isinstance(value, bool):
        return letters[index]
    letter = text.strip(" ().").upper()
    if len(letter) != 1 or letter not in letters:
        raise ValueError(
            f'has an "answer" that is no letter from A to {letters[-1]}, nor one of the options'
            f"{type_note(value)}"
        )
    return letter


def read_tests(value: Any, entry_point: Any, solution: str) -> list[code.Test]:
    """Read the tests of a program in any of the common forms. Raises ValueError.

    r1kit's own (verify/code/tests.py); MBPP's list of assertions; HumanEval's text that defines
    `check(candidate)`, with `entry_point`; `{"inputs": [...], "outputs": [...]}` of APPS and TACO,
    also with `fn_name`; each of them also as JSON in a text.
    """
    if isinstance(value, str) and "def check(" in value:
        if not isinstance(entry_point, str):
            raise ValueError('has tests for a function, but no name at "entry_point"')
        return [code.CheckTest(value, entry_point)]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError('has a text at "tests" that is neither JSON nor check(...)') from None
    if isinstance(value, dict) and {"inputs", "outputs"} <= value.keys():
        return _paired_tests(value, entry_point)
    if isinstance(value, list) and value and all(isinstance(test, str) for test in value):
        return _assertions(value, solution)
    try:
        return code.read(value)
    except ValueError as error:
        raise ValueError(f'has no tests at "tests": {error}') from None


def _paired_tests(value: Json, entry_point: Any) -> list[code.Test]:
    inputs, outputs = value["inputs"], value["outputs"]
    function = value.get("fn_name") or entry_point
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise ValueError("has not as many inputs as outputs")
    if not inputs:
        raise ValueError("has no inputs")
    pairs = zip(inputs, outputs, strict=True)
    if isinstance(function, str):
        return [code.CallTest(function, tuple(given), expected) for given, expected in pairs]
    return [code.StdioTest(_lines(given), _lines(expected)) for given, expected in pairs]


def _lines(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _assertions(asserts: list[str], solution: str) -> list[code.Test]:
    from r1kit.tasks.code import called_function, called_names, defined_functions

    try:
        names = defined_functions(solution) if solution else called_names(asserts)
        entry = called_function(asserts, names)
        return [code.CheckTest("\n".join(asserts), entry)]
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"has assertions that cannot be read ({error})") from None
