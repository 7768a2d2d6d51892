"""Boxes and answer tags: `\\boxed{5}`, `\\fbox{5}`, `\\boxed 7`, `<answer>5</answer>`.

All scans are linear in the text length, so hostile texts are cheap.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

MAX_BOXES = 1000
MAX_BOX_CHARS = 500_000
"""maximum number of characters read in search of closing braces, over all boxes"""

_BOX = re.compile(
    r"\\(?:boxed|fbox|framebox)(?:\s{0,4}(?:\[[^\]\n]{0,20}\]\s?){0,2}(\{)"
    r"|\s{1,4}([0-9]+(?:\.[0-9]+)?)(?![0-9A-Za-z{]))"
)
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_STEPS = {"{": 1, "}": -1}
_TAG = re.compile(r"<answer>", re.IGNORECASE)
_END_TAG = re.compile(r"</answer>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Box:
    """A box in a text, from `start` to `end`; `content` is None if its brace never closes."""

    content: str | None
    start: int
    end: int


def last_boxed(text: str) -> str | None:
    """Return the content of the last box that is closed and not empty; `\\fbox` counts as a box.

    Tries the last MAX_BOXES boxes, starting from the end, until MAX_BOX_CHARS characters have been
    read without finding an answer.
    """
    return next((box.content for box in boxes_from_end(text) if box.content), None)


def boxes_from_end(text: str) -> list[Box]:
    """Return boxes from the last one backwards, up to the first that is closed and not empty.

    The inner one of nested boxes is found first.
    """
    boxes: list[Box] = []
    if "\\" not in text:
        return boxes
    budget = MAX_BOX_CHARS
    for opening in reversed(deque(_BOX.finditer(text), MAX_BOXES)):
        box = _box(text, opening, budget)
        boxes.append(box)
        if box.content:
            break
        budget -= len(text) - opening.end() if box.content is None else box.end - opening.end()
        if budget <= 0:
            break
    return boxes


def boxes_before(text: str, end: int, limit: int = 8) -> list[Box]:
    """Return up to `limit` boxes that close before `end`, the last one first."""
    start = max(0, end - MAX_BOX_CHARS // 100)
    openings = deque(_BOX.finditer(text, start, end), limit)
    boxes = [_box(text, opening, end - opening.start()) for opening in reversed(openings)]
    return [box for box in boxes if box.content and box.end <= end]


def _box(text: str, opening: re.Match[str], limit: int) -> Box:
    if opening[1] is None:
        return Box(opening[2], opening.start(), opening.end())
    depth = 1
    for match in _BRACES.finditer(text, opening.end(), opening.end() + limit):
        depth += _STEPS.get(match.group(), 0)
        if depth == 0:
            content = text[opening.end() : match.start()].strip()
            return Box(content, opening.start(), match.end())
    return Box(None, opening.start(), len(text))


def answer_tag(text: str) -> str | None:
    """Return what the last `<answer>` holds, up to its end tag or the end of the text."""
    if "<" not in text:
        return None
    openings = deque(_TAG.finditer(text), 1)
    if not openings:
        return None
    start = openings[0].end()
    end = _END_TAG.search(text, start)
    return text[start : end.start() if end else len(text)].strip()
