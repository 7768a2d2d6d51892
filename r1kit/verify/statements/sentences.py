"""Divide a text into sentences and sentences into clauses, in linear time.

Source: the usual rules of sentence splitters (a full stop before white space, no abbreviation, no
label of an option). Departure: a line break always ends a sentence, since answers are lists of
lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SENTENCES = 400
"""maximum number of sentences; the rest of the text is one more"""

END_MARK = r"(?:[.?]|!(?!\s?[=+\-−*/×·÷^≤≥]|\.))"
"""a mark that may end a sentence; in `5! = 120` and "It is 5!." `!` is a factorial"""
_END = re.compile(
    r"\n+|[。！？；]+[*_\"”』」)]*"
    rf"|{END_MARK}+[*_\"'”’)]{{0,3}}(?=\s|$|<|[\u3400-\u9fff\uac00-\ud7af])"
)
_NO_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|ans|cf|vs|approx|fig|eq|no|dr|mr|mrs|sq|ca|viz)"
    r"|^[\s*_(]*(?:[A-Ja-j]|[0-9]{1,2}))\.$",
    re.IGNORECASE,
)
_COMMA = re.compile(r"[,;:，；：]\s*|\s+[-–—]{1,3}\s+|…|\.{3}")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with its final punctuation: `Sentence("It is B.", 0)`."""

    text: str
    start: int
    """position of its first character in the text"""

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def sentences(text: str) -> list[Sentence]:
    """Return the sentences of a text; white space between them is left out."""
    result: list[Sentence] = []
    start = 0
    for end in _END.finditer(text):
        if end[0] == "." and _NO_END.search(text[max(start, end.end() - 12) : end.end()]):
            continue
        _append(result, text, start, end.end())
        start = end.end()
        if len(result) >= MAX_SENTENCES:
            break
    _append(result, text, start, len(text))
    return result


def _append(result: list[Sentence], text: str, start: int, end: int) -> None:
    content = text[start:end]
    if stripped := content.strip():
        result.append(Sentence(stripped, start + len(content) - len(content.lstrip())))


def clause_around(sentence: str, start: int, end: int) -> tuple[str, str]:
    """Return the parts of the clause before `start` and after `end`: commas divide clauses."""
    before = sentence[:start]
    for comma in _COMMA.finditer(before):
        before = sentence[comma.end() : start]
    after = sentence[end:]
    comma_after = _COMMA.search(after)
    return before, after[: comma_after.start()] if comma_after else after
