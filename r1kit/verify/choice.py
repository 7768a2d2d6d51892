"""Verify multiple-choice answers, as in MMLU, GPQA, C-Eval, GAOKAO and KMMLU.

A letter counts if a sentence states it as the answer: in a box or an answer tag, after a marker
("the answer is", 【答案】, 정답은, 选), before a judgement ("is correct", 项正确, 가 정답), or on a
line of its own; never inside ordinary words. What a sentence denies, supposes or asks is not stated
(statements/stance.py). The last marked letter wins; letters that are only judged must agree. A
statement that names several letters is wrong.

Source: the prompts of simple-evals and C-Eval, the outputs of GAOKAO-Bench. Departure: simple-evals
takes the first "Answer: X".
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from r1kit.types import Verdict
from r1kit.verify.answer import SAME_CHARACTER
from r1kit.verify.statements.boxes import answer_tag, boxes_from_end
from r1kit.verify.statements.letters import (
    ALONE,
    BOXED_LABEL,
    FORMULA,
    LABELLED,
    LETTERS,
    LETTERS_ONLY,
    OPTION_SAYS_NO,
    STATED,
    WRONG,
    distinct,
)
from r1kit.verify.statements.policy import STRICT, GradingPolicy
from r1kit.verify.statements.reading import is_asserted_box
from r1kit.verify.statements.sentences import Sentence, sentences
from r1kit.verify.statements.stance import stance, withdrawal

T = TypeVar("T")

MAX_TAIL_CHARS = 4000

_SURROGATES = re.compile("[\ud800-\udfff]")
_END_MARK = re.compile(r"<(?:eoa|eoe|/s|end|eos|im_end)[^<>]{0,10}>|<\|[a-z_]{1,20}\|>")
_QUOTED = re.compile(rf"(?<![A-Za-z])['‘]([{LETTERS}])['’](?![A-Za-z])")
_SMALL = re.compile(
    rf"(?<![A-Za-z0-9\\)])\([{LETTERS.lower()}]\)(?![A-Za-z0-9(])|^\s*[{LETTERS.lower()}]\s*$"
    rf"|\b(?i:option|choice) [b-{LETTERS[-1].lower()}]\b"
    rf"|\b(?i:answer)(?: is)?\s?[:：]?\s?[*_(]{{0,2}}[{LETTERS.lower()}](?:[).]|[*_]{{0,2}}\s*$)"
)
"""a small letter that can only name an option: `(b)`, `option b`, or all of the text"""
_CIRCLED = {code: f"({code - 0x2460 + 1})" for code in range(0x2460, 0x246A)}
_OPTION_NUMBER = re.compile(r"(?<![0-9A-Za-z.,/^_\\-])(10|[1-9])(?![0-9A-Za-z%/^]|[.,][0-9])")

StatementForm = Literal["last line", "first line", "box", "marker", "judgement", "label"]


@dataclass(frozen=True, slots=True)
class StatedLetters:
    """The letters that a text states, how, and where: `StatedLetters("B", "marker", 7)`."""

    letters: str
    form: StatementForm
    end: int
    """position behind the statement in the end of the text"""


def check_choice(
    text: str, gold: str, n_options: int = 4, policy: GradingPolicy = STRICT
) -> Verdict:
    """Return the verdict on an answer; `gold` is one of the first `n_options` letters (2 to 10).

    A gold that is a number (`3`, `②`) means that the options are numbered from 1. The verdict is
    undecided if `gold` is neither. An answer letter beyond the options is wrong.
    """
    if not 2 <= n_options <= len(LETTERS):
        raise ValueError(f"n_options is 2 to {len(LETTERS)}, not {n_options}")
    gold_letter = gold.translate(_CIRCLED).translate(SAME_CHARACTER).strip(" ().번\t\n").upper()
    is_numbered = _OPTION_NUMBER.fullmatch(gold_letter) is not None
    if is_numbered:
        gold_letter, text = LETTERS[int(gold_letter) - 1], numbers_as_letters(text)
    stated = stated_letters(text, policy)
    shown = stated if stated is None or not is_numbered else _as_numbers(stated)
    if len(gold_letter) != 1 or gold_letter not in LETTERS[:n_options]:
        return Verdict(None, shown, f"the gold answer {gold!r} is not one of {n_options} letters")
    if stated is None:
        return Verdict(False, None, "no letter is stated as the answer")
    if len(stated) > 1:
        return Verdict(False, shown, "several letters at once")
    if stated not in LETTERS[:n_options]:
        return Verdict(False, shown, f"not one of {n_options} options")
    is_equal = stated == gold_letter
    expected = _as_numbers(gold_letter) if is_numbered else gold_letter
    return Verdict(is_equal, shown, "equal" if is_equal else f"not {expected}")


def numbers_as_letters(text: str) -> str:
    """Return a text about numbered options with letters instead: `답은 ②번` → `답은 (B)번`."""
    lower = text[-2 * MAX_TAIL_CHARS :].translate(_CIRCLED).translate(SAME_CHARACTER).lower()
    return _OPTION_NUMBER.sub(lambda number: LETTERS[int(number[1]) - 1], lower)


def _as_numbers(letters: str) -> str:
    return ", ".join(str(LETTERS.index(letter) + 1) for letter in letters)


def stated_letters(text: str, policy: GradingPolicy = STRICT) -> str | None:
    """Return the letters of the last statement, deduplicated, in order: "B", "AB", or None."""
    tag = answer_tag(text)
    statement = find_statement(text if tag is None else tag, policy)
    return None if statement is None else distinct(statement.letters)


def find_statement(text: str, policy: GradingPolicy = STRICT) -> StatedLetters | None:
    """Return the statement that counts; None if there is none, or if it is taken back."""
    tail = _SURROGATES.sub("", text[-MAX_TAIL_CHARS:].translate(SAME_CHARACTER))
    tail = _QUOTED.sub(r'"\1"', _END_MARK.sub("", tail)).rstrip()
    tail = _SMALL.sub(lambda small: small[0].upper(), tail)
    statement = _strongest(tail, is_whole=len(text) <= MAX_TAIL_CHARS)
    if statement is None:
        return None
    rest = tail[statement.end :]
    if (option := OPTION_SAYS_NO.match(rest)) is not None:
        rest = rest[option.end() :]
    if policy.can_be_taken_back and withdrawal(rest) is not None:
        return None
    boxes = boxes_from_end(tail)
    is_cut_off = bool(boxes) and not boxes[0].content and boxes[0].start >= statement.end
    return None if is_cut_off and policy.last_box_must_be_whole else statement


def _strongest(tail: str, is_whole: bool) -> StatedLetters | None:
    """Return the last line if it is only letters; else the last marked or boxed letters; ...

    The first line of a whole text that is only letters must agree with the letters that are judged.
    """
    lines = [line for line in tail.splitlines() if line.strip()]
    if lines and (sole_line := ALONE.match(lines[-1])):
        return StatedLetters(sole_line["letters"], "last line", len(tail))
    statements = [statement for sentence in sentences(tail) for statement in _statements(sentence)]
    if (box := _boxed(tail)) is not None:
        statements.append(box)
    marked = [statement for statement in statements if statement.form in ("marker", "box")]
    if marked:
        return max(marked, key=lambda statement: statement.end)
    if is_whole and lines and (first_line := ALONE.match(lines[0])):
        end = tail.index(lines[0]) + len(lines[0])
        statements.insert(0, StatedLetters(first_line["letters"], "first line", end))
    if statements:
        letters = distinct("".join(statement.letters for statement in statements))
        return StatedLetters(letters, "judgement", statements[-1].end)
    return _sole_label(lines, len(tail))


def _statements(sentence: Sentence) -> list[StatedLetters]:
    """Return what a sentence asserts: letters after markers, and letters that it judges."""
    stated: list[StatedLetters] = []
    text, position = sentence.text, 0
    while (match := STATED.search(text, position)) is not None:
        group = "letters" if match["letters"] else "judged"
        start, end = match.span(group)
        position = end
        is_box = text[max(0, start - 12) : start].find("boxed{") >= 0
        if is_box or FORMULA.match(text, end) or stance(text, start, end) != "asserted":
            continue
        stated.append(
            StatedLetters(
                match[group],
                "marker" if group == "letters" else "judgement",
                sentence.start + (end if group == "letters" else match.end()),
            )
        )
    return stated


def _boxed(tail: str) -> StatedLetters | None:
    """Return the letters of the last box; None if it has a value or a formula."""
    boxes = boxes_from_end(tail)
    if not boxes or not boxes[0].content or not is_asserted_box(tail, boxes[0]):
        return None
    content = boxes[0].content
    option = ALONE.match(content) or ALONE.match(content.upper()) or BOXED_LABEL.match(content)
    option = option or LETTERS_ONLY.match(content)
    if option is None or FORMULA.match(content, option.end("letters")):
        return None
    return StatedLetters(option["letters"].upper(), "box", boxes[0].end)


def _sole_label(lines: Sequence[str], end: int) -> StatedLetters | None:
    """Return the letter of the only line that begins with a label, as in "B. photosynthesis"."""
    labels = [(line, label) for line in lines if (label := LABELLED.match(line))]
    if len(labels) != 1:
        return None
    [(line, label)] = labels
    after = line[label.end("letters") :].lstrip(" \t*_$)}].:：、")
    denied = stance(f"{label['letters']} {after}", 0, 1) != "asserted"
    return None if denied or WRONG.search(after) else StatedLetters(label["letters"], "label", end)


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
