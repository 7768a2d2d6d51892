"""Verify multiple-choice answers, as in MMLU, GPQA and C-Eval.

A letter counts if it is stated as the answer: in a box, after "answer is", "정답은", "答案是",
"选", before "is correct", or on a line of its own; never inside ordinary words. The last statement
wins, and a statement that names several letters is wrong.

Source: the prompts of simple-evals and C-Eval. Departure: simple-evals takes the first "Answer: X".
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TypeVar

from r1kit.types import Verdict
from r1kit.verify.answer import SAME_CHARACTER, last_boxed

T = TypeVar("T")

MAX_TAIL_CHARS = 4000
LETTERS = "ABCDEFGHIJ"

_OPEN = (
    r"(?:[\s*_$:({\[\"'“]|\\(?:boxed|text|textbf|mathrm|mathbf)\{|\\\(|option\b|choice\b|选项)*+"
)
_CLOSE = r"[)}\]*_$\"'”]*+"
_LETTER = rf"(?-i:[{LETTERS}])(?![A-Za-z0-9_’'+])"
_AND = r"(?:\\text\{\s*+)?+(?:,|/|&|\bor\b|\band\b|或|和|与|및|또는|、)(?:\s*+\})?+"
_MORE = rf"(?:{_CLOSE}\s*+{_AND}{_OPEN}{_LETTER})"
_NO_ARTICLE = r"(?<![AI])(?= )|(?! (?!(?:because|since|as|with|for|which|and|or|by)\b)[a-z])"
_LISTED = rf"(?P<letters>(?:{_LETTER}(?:{_NO_ARTICLE})|(?-i:[{LETTERS}]{{2,10}})\b){_MORE}{{0,9}}+)"
_BEFORE = (
    r"\b(?:answer|choice|option)\s*(?:is\b|would be\b|[:：=])",
    r"(?:정답|답)\s?(?:은|는|이|[:：])",
    r"答案\s?(?:是|为|為|应为|选|[:：])",
    r"(?<![不别未勿非])(?:应选|故选|选择|选)[:：]?",
)
_AFTER = (
    r"(?:\s*(?:option|choice))?\s*is\s+(?:the\s+)?(?:correct|right)\b(?! but)",
    r"\s*(?:번|가|이)*\s*정답(?!이? ?아)",
    r"\s*(?:选项)?\s*(?:是)?正确",
)
_STATED = re.compile(
    rf"(?:{'|'.join(_BEFORE)}|\\(?:boxed|fbox)\s*\{{){_OPEN}{_LISTED}"
    rf"|(?<![A-Za-z0-9\\]){_LISTED.replace('letters', 'judged')}{_CLOSE}(?:{'|'.join(_AFTER)})",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"{_OPEN}(?P<letters>{_LETTER}{_MORE}{{0,9}}+){_CLOSE}[.:：。]?\s*번?\s*$")
_LABELLED = re.compile(rf"[\s*(]*(?P<letters>{_LETTER})[)*]*\s*[.):：．、]\s*\S")


def check_choice(text: str, gold: str, n_options: int = 4) -> Verdict:
    """Return the verdict on an answer; `gold` is one of the first `n_options` letters (2 to 10).

    The verdict is undecided if `gold` is not such a letter. An answer letter beyond the options is
    wrong.
    """
    if not 2 <= n_options <= len(LETTERS):
        raise ValueError(f"n_options is 2 to {len(LETTERS)}, not {n_options}")
    gold_letter = gold.translate(SAME_CHARACTER).strip(" ().\t\n").upper()
    letters = stated_letters(text)
    if len(gold_letter) != 1 or gold_letter not in LETTERS[:n_options]:
        return Verdict(None, letters, f"the gold answer {gold!r} is not one of {n_options} letters")
    if letters is None:
        return Verdict(False, None, "no letter is stated as the answer")
    if len(letters) > 1:
        return Verdict(False, letters, "several letters at once")
    if letters not in LETTERS[:n_options]:
        return Verdict(False, letters, f"not one of {n_options} options")
    return Verdict(
        letters == gold_letter, letters, "equal" if letters == gold_letter else f"not {gold_letter}"
    )


def stated_letters(text: str) -> str | None:
    """Return the letters of the last statement, deduplicated, in order: "B", "AB", or None."""
    tail = text[-MAX_TAIL_CHARS:].translate(SAME_CHARACTER).rstrip()
    lines = [line for line in tail.splitlines() if line.strip()]
    if lines and (sole_line := _ALONE.match(lines[-1])):
        return _distinct(sole_line["letters"])
    letters = None
    for match in _STATED.finditer(tail):
        letters = match["letters"] or match["judged"]
    if letters is not None:
        return _distinct(letters)
    if (box := last_boxed(text)) is not None:
        content = box.translate(SAME_CHARACTER)
        option = _ALONE.match(content) or _ALONE.match(content.upper()) or _LABELLED.match(content)
        return _distinct(option["letters"]) if option else None
    labels = [label for line in lines if (label := _LABELLED.match(line))]
    return _distinct(labels[0]["letters"]) if len(labels) == 1 else None


def shuffle_options(
    options: Sequence[T], gold_index: int, seed: int, problem_id: str = ""
) -> tuple[list[T], str]:
    """Shuffle the options; return them and the letter of the gold option.

    The order depends only on (seed, problem_id).
    `shuffle_options(["4", "5"], 1, seed=0, problem_id="mmlu/7")` → `(["5", "4"], "A")`, or the
    other way round. Raises ValueError unless there are 2 to 10 options and the index is in range.
    """
    if not 2 <= len(options) <= len(LETTERS) or not 0 <= gold_index < len(options):
        raise ValueError(f"no option {gold_index} among {len(options)}; there are 2 to 10")
    order = list(range(len(options)))
    random.Random(f"{seed}/{problem_id}").shuffle(order)
    return [options[index] for index in order], LETTERS[order.index(gold_index)]


def _distinct(letters: str) -> str:
    """Return the distinct capital letters: `(A) or B` → "AB"; words such as "or" have none."""
    return "".join(dict.fromkeys(letter for letter in letters if letter in LETTERS))
