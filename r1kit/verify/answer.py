"""Find the final answer in a text, and compare numbers exactly.

Source: the R1 paper, section 2.2.2 of its first version (the final answer within a box).
Departures: an answer without a box may follow a marker such as "Answer:"; numbers compare as
fractions, never as floats; all scans are linear in the text length, so hostile answers are cheap.
"""

from __future__ import annotations

import re
from fractions import Fraction

from r1kit.types import Verdict
from r1kit.verify.statements.boxes import boxes_from_end

MAX_NUMBER_CHARS = 200
"""maximum length of a number; a longer one is not parsed"""
MAX_LINE_CHARS = 1000
"""maximum number of characters of a line searched for a marker and its answer"""

_MARKED = re.compile(
    r"[\s>#*_-]{0,8}(?:(?:the )?(?:final )?answer|정답|최종 답|답|最终答案|答案|答)"
    r"[*_]{0,2} ?(?:is|은|는|是|为|為)?[*_]{0,2} ?[:：](.*)",
    re.IGNORECASE,
)
SAME_CHARACTER = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full width
SAME_CHARACTER |= {ord("−"): "-", 0x3000: " "}
_INTEGER = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+"
_NUMBER = re.compile(
    rf"(?:[A-Za-z]\s*=\s*)?(?P<sign>[+-]?)\s*(?:"
    rf"(?P<decimal>(?:{_INTEGER})(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<top>[0-9]+)\s*/\s*(?P<bottom>[0-9]+)"
    r"|\\[dt]?frac\{(?P<latex_top>[0-9]+)\}\{(?P<latex_bottom>[0-9]+)\})"
)


def final_answer(text: str) -> str | None:
    """Return the content of the last `\\boxed{...}`, else the text after the last "Answer:".

    "답:", "答案:" and similar markers count as well. Braces must balance, and the inner one of
    nested boxes is the answer. If the last box is cut off or empty, no earlier one counts.
    """
    boxes = boxes_from_end(text)
    if boxes and boxes[-1].content:
        return boxes[0].content or None
    return marked_line(text)


def parse_number(text: str) -> Fraction | None:
    """Return the exact value of a text that is one number and nothing else, or None.

    Parses `5`, `-1,000`, `0.25`, `3/4`, `\\frac{3}{4}`, `x = 5`, `$5$`, full-width digits.
    """
    if len(text) > MAX_NUMBER_CHARS:
        return None
    plain = text.translate(SAME_CHARACTER).strip()
    if len(plain) > 2 and plain[0] == plain[-1] == "$":
        plain = plain.strip("$").strip()
    match = _NUMBER.fullmatch(plain.replace("{,}", ","))
    if match is None:
        return None
    sign = -1 if match["sign"] == "-" else 1
    if match["decimal"]:
        return sign * Fraction(match["decimal"].replace(",", ""))
    bottom = int(match["bottom"] or match["latex_bottom"])
    return sign * Fraction(int(match["top"] or match["latex_top"]), bottom) if bottom else None


def same_number(extracted: str, gold: str) -> bool:
    """Return True if both are numbers and exactly equal; a non-numeric gold equals nothing."""
    value = parse_number(extracted)
    return value is not None and value == parse_number(gold)


def check_number(text: str, gold: str) -> Verdict:
    """Return the verdict on an answer whose gold is one number.

    The verdict is undecided if `gold` is not a number, so that a broken problem is neither rewarded
    nor punished.
    """
    extracted = final_answer(text)
    if parse_number(gold) is None:
        return Verdict(None, extracted, f"the gold answer {gold!r} is not a number")
    if extracted is None:
        return Verdict(False, None, "no final answer")
    if same_number(extracted, gold):
        return Verdict(True, extracted, "equal")
    return Verdict(False, extracted, f"not {gold}")


def marked_line(text: str) -> str | None:
    """Return the rest of the last line that begins with a marker such as "Answer:"."""
    for line in reversed(text.splitlines()):
        match = _MARKED.match(line[:MAX_LINE_CHARS])
        answer = match[1].strip(" \t*_").rstrip(".。").strip() if match else ""
        if answer:
            return answer
    return None
