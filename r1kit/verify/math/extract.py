"""Extract the final answer from a text.

In order of priority: the last box that is not empty; the text after the last marker ("Answer:",
"the answer is", "####", "답은", "答案是"); the last formula of the closing sentence; its last
number. The last two count only if that sentence has no negation or doubt ("not", "or", "maybe").
Boxes are searched in the whole text, the rest in its last MAX_TAIL_CHARS, all in linear time.

Source: the order is that of Math-Verify and inspect_ai. Departures: a later box always replaces an
earlier one; nothing is guessed from a sentence with a negation or doubt.
"""

from __future__ import annotations

import re
from collections import deque

from r1kit.verify.answer import last_boxed
from r1kit.verify.math.units import canonical, changes_value

MAX_TAIL_CHARS = 4000
MAX_LINE_CHARS = 600

_MARKER = re.compile(
    r"####|(?:final\s|correct\s)?\banswer\b[*_\s]{0,4}(?:[:：=]|\bis\b|\bwould be\b)"
    r"|(?:최종\s?)?(?:정답|답)\s?(?:은|는|이|:|：)|(?:最终|正确)?答案\s?(?:是|为|為|：|:)|答\s?[：:]",
    re.IGNORECASE,
)
_AFTER_MARKER = re.compile(
    r"[\s*_:：]*(?:(?:therefore|thus|simply|just)\b[\s*_:：]*)?", re.IGNORECASE
)
_MATH = re.compile(
    r"\$\$([^$]{1,1000})\$\$|(?<!\\)\$([^$\n]{1,500})(?<!\\)\$"
    r"|\\\[(.{1,1000}?)\\\]|\\\((.{1,500}?)\\\)",
    re.DOTALL,
)
_NUMBER = re.compile(
    r"(?<![\w.^/])[-−]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+|/[0-9]+)?|\.[0-9]+)%?(?!\w)"
)
_WAVERS = re.compile(
    r"\b(?:not|or|nor|neither|either|maybe|perhaps|cannot|never|except|between|instead|wrong|if)\b"
    r"|n't|n’t|≠|\\ne\b|!=|아니|않|또는|혹은|不|或|非",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"^\s*(?:%|//|#(?!###)|<!--)|<!--|/\*|\*/|-->")
_CLAUSE_END = re.compile(
    r"[.!?](?=\s|$)|[。！？]|,?\s(?:because|since|as|which|so|where|after|when|but)\s"
    r"|\s(?:in total|in all|altogether|of the)\b",
    re.IGNORECASE,
)
_ENDINGS = re.compile(
    r"\s*(?:입니다|이다|이에요|예요|이며|임|이 된다|가 된다|이 됩니다|가 됩니다|다|요)?[.。!]?\s*$"
)
_COUNTERS = re.compile(r"(?<=[0-9])\s*(?:개|명|원|마리|살|번|시간|분|일|个|元|岁|天|度|人|米)$")


def extract(text: str) -> str | None:
    """Return the answer as written; None if there is none."""
    if (box := last_boxed(text)) is not None:
        return box
    tail = text[-MAX_TAIL_CHARS:].rstrip()
    answer = _marked_answer(tail) or _closing_answer(tail)
    return None if answer is None or "boxed" in answer else answer


def _marked_answer(tail: str) -> str | None:
    marker = _last_match(_MARKER, tail)
    if marker is None or _is_comment(tail, marker.start()):
        return None
    start = _AFTER_MARKER.match(tail, marker.end())
    rest = tail[start.end() if start else marker.end() :][:MAX_LINE_CHARS]
    if (formula := _MATH.match(rest)) is not None:
        return _with_unit(formula, rest)
    line = rest.split("\n", 1)[0]
    if (end := _CLAUSE_END.search(line)) is not None:
        line = line[: end.start()]
    return _without_endings(line.strip(" \t*_`")) or None


def _last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    matches = deque(pattern.finditer(text), 1)
    return matches[0] if matches else None


def _is_comment(tail: str, position: int) -> bool:
    line = tail[tail.rfind("\n", 0, position) + 1 : position]
    return _COMMENT.search(line) is not None


def _with_unit(formula: re.Match[str], rest: str) -> str:
    """Return a formula and its unit: `$5$ cm` → `5 cm`.

    If the clause has a second formula, or words that change the value, return the whole clause.
    """
    clause = rest[formula.end() :].split("\n", 1)[0]
    end = _CLAUSE_END.search(clause)
    clause = clause[: end.start()] if end else clause.rstrip(" .。*_")
    content = _content(formula)
    if "$" in clause or "\\(" in clause or changes_value(clause):
        return f"{content} {clause.replace('$', '')}".strip()
    return f"{content} {clause.strip()}" if canonical(clause) else content


def _closing_answer(tail: str) -> str | None:
    """Return the last formula if it is near the end, else the last number of the last line."""
    lines = [line for line in tail.splitlines() if line.strip(" \t*_`-#>$\\[]()")]
    if not lines:
        return None
    formula = _last_match(_MATH, tail)
    line = lines[-1][-MAX_LINE_CHARS:]
    if _COMMENT.search(line):
        return None
    if formula is not None and len(tail[formula.end() :].strip()) < MAX_LINE_CHARS // 6:
        sentence = tail[tail.rfind("\n\n", 0, formula.start()) + 1 :]
        return None if _WAVERS.search(sentence[-MAX_LINE_CHARS:]) else _content(formula)
    numbers = list(_NUMBER.finditer(line))
    if not numbers or "boxed" in line or _WAVERS.search(line):
        return None
    separator = line[numbers[-2].end() : numbers[-1].start()] if len(numbers) > 1 else "none"
    is_list = separator.strip(" ,;/&").lower() in ("", "and")
    return None if is_list else numbers[-1].group()


def _content(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None).strip()


def _without_endings(line: str) -> str:
    line = _ENDINGS.sub("", line).strip(" \t*_`")
    return _COUNTERS.sub("", line)
