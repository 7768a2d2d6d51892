"""Find the final answer in a text, and compare numbers exactly.

Source: the R1 paper, section 2.2.2 of its first version (the final answer within a box).
Departures: an answer without a box may follow a marker such as "Answer:"; numbers compare as
fractions, never as floats; everything is linear in the text, so hostile answers cost nothing.
"""

from __future__ import annotations

import re
from collections import deque
from fractions import Fraction

from r1kit.types import Verdict

MAX_NUMBER_CHARS = 200
"""A longer number is not read at all."""
MAX_BOXES = 1000
MAX_BOX_CHARS = 500_000
"""How much is read in search of the end of a box, all boxes together."""
MAX_LINE_CHARS = 1000
"""How much of a line is looked at for a marker and its answer."""

_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,4}\{")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_STEPS = {"{": 1, "}": -1}
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
    """What the last `\\boxed{...}` holds, or what follows the last "Answer:", "답:", "答案:".

    Braces must balance; empty boxes do not count; of nested boxes the inner one is the answer.
    """
    boxed = last_boxed(text)
    return _last_marked(text) if boxed is None else boxed


def last_boxed(text: str) -> str | None:
    """What the last box holds that closes and is not empty; `\\fbox` is a box too.

    Of MAX_BOXES boxes, tried from the end as long as MAX_BOX_CHARS have not been read in vain.
    """
    budget = MAX_BOX_CHARS
    for opened in reversed(deque(_BOX.finditer(text), MAX_BOXES)):
        content = _to_closing_brace(text, opened.end(), budget)
        if content is not None and content.strip():
            return content.strip()
        budget -= len(text) - opened.end() if content is None else len(content)
        if budget <= 0:
            return None
    return None


def _to_closing_brace(text: str, start: int, limit: int) -> str | None:
    """From behind an opening brace to its partner; None where there is none within `limit`."""
    depth = 1
    for match in _BRACES.finditer(text, start, start + limit):
        depth += _STEPS.get(match.group(), 0)
        if depth == 0:
            return text[start : match.start()]
    return None


def parse_number(text: str) -> Fraction | None:
    """The exact value of a text that is one number and nothing else, or None.

    Reads `5`, `-1,000`, `0.25`, `3/4`, `\\frac{3}{4}`, `x = 5`, `$5$`, full-width digits.
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
    """Whether both are numbers and exactly equal; a gold that is no number equals nothing."""
    value = parse_number(extracted)
    return value is not None and value == parse_number(gold)


def check_number(text: str, gold: str) -> Verdict:
    """The verdict on an answer whose gold is one number.

    Undecided where `gold` is no number: nobody is rewarded or punished for a bad problem.
    """
    extracted = final_answer(text)
    if parse_number(gold) is None:
        return Verdict(None, extracted, f"the gold answer {gold!r} is not a number")
    if extracted is None:
        return Verdict(False, None, "no final answer")
    if same_number(extracted, gold):
        return Verdict(True, extracted, "equal")
    return Verdict(False, extracted, f"not {gold}")


def _last_marked(text: str) -> str | None:
    for line in reversed(text.splitlines()):
        match = _MARKED.match(line[:MAX_LINE_CHARS])
        answer = match[1].strip(" \t*_").rstrip(".。").strip() if match else ""
        if answer:
            return answer
    return None
