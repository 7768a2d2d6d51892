"""The words before an answer: "Answer:", "the answer to the question is", 【答案】, 정답은, `####`.

A marker is followed by its clause: the rest of its sentence, or the next line if nothing else is on
its own. Source: the prompts and outputs of GSM8K, Minerva, simple-evals, GAOKAO-Bench and KMMLU.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from r1kit.verify.statements.sentences import END_MARK
from r1kit.verify.statements.words import one_of, whole

MAX_MARKERS = 32
"""number of markers, from the last one, that are tried"""
MAX_CLAUSE_CHARS = 600

_ENGLISH = (
    "####",
    r"^### +(?=[-$]{0,2}[0-9][0-9,./]*[ \t]*$)",
    # "answer": "5"
    r"\\?\"(?:final[_ ]?)?answer\\?\"\s{0,4}:\s{0,4}\\?\"?",
    # "Answer:", "the answer (in cm) to the question is"
    r"\bans(?:wer)?s?\b(?:\s{0,2}\([^()\n]{1,30}\))?"
    + r"(?:[\s,*_]{1,3}"
    + one_of("to, for, of, in, here, now, therefore, then, thus, hence, so")
    + r"\b[^.:;?!\n=]{0,60}?)?[*_\s,]{0,4}(?:[:：=]|"
    + whole(
        "is, are, was, would be, should be, must be, will be, equals, becomes",
        "(?:comes?|works?) (?:out )?to(?: be)?, turns? out to be",
    )
    + r"(?![A-Za-z-])\s?[:：]?)",
    # a heading
    r"^[#*_ \t]{0,8}(?:the\s)?(?:final\s)?"
    + one_of("answer, result, 정답, 최종 답변?, 답변?, 最终答案, 答案")
    + r"[*_ \t]{0,4}$",
    r"\banswer\b(?=\sisn't)",
)
_CHINESE = (
    "答案(?=不是|并非|不为)",
    r"【\s?(?:最终|正确|参考)?答案?\s?】\s?[:：]?",
    r"(?:最终|正确|參考|参考)?答案[*_]{0,2}\s?(?:应该?|應該?|应当|就|即|显然|当然|明显|肯定|必然)?\s?(?:是|为|為|等于|等於|[:：])",
    r"答\s?[：:]",
)
_KOREAN = (r"(?:최종\s?)?(?:정답|답변|해답|답)[*_]{0,2}\s?(?:은|는|이(?![다고며므라야지])|[:：])",)
_MARKER = re.compile("|".join(_ENGLISH + _CHINESE + _KOREAN), re.IGNORECASE | re.MULTILINE)
_HINT = re.compile("###|ans|result|【|答|최종|정답|답|해답", re.IGNORECASE)
"""a part of every marker, which is found much faster than a whole one"""
MAX_BEFORE_HINT = 20
"""number of characters of a marker before its hint, at most"""
_GAP = re.compile(
    r"[\s*_:：]*(?:(?:therefore|thus|simply|just|namely)\b[\s*_:：]*)?", re.IGNORECASE
)
_CLAUSE_END = re.compile(
    rf"{END_MARK}(?=\s|$|<)"
    r"|[。！？]|,?\s(?:because|since|as|which|so|where|after|when|but)\s"
    r"|\s(?:in total|in all|altogether|of (?:the|them|these|those))\b|;\s(?=[a-z]{3})|<(?=/?[a-z])",
    re.IGNORECASE,
)
_NOT = re.compile(r"\bnot\b|n't\b", re.IGNORECASE)
_COMMENT = re.compile(r"^\s*(?:%|//|#(?!###)|<!--)|<!--|/\*|\*/|-->")


@dataclass(frozen=True, slots=True)
class MarkedClause:
    """The clause after a marker: `Answer: 5 cm.` is `MarkedClause("5 cm", 0, 12, "5 cm.")`."""

    text: str
    start: int
    """position of the marker in the text"""
    end: int
    """position behind the clause"""
    rest: str
    """the text from the clause on: a formula may go beyond the end of its line"""


def marked_clauses(tail: str) -> list[MarkedClause]:
    """Return the clauses of the last markers, the last one first."""
    hint = _HINT.search(tail)
    if hint is None:
        return []
    line_start = tail.rfind("\n", 0, max(0, hint.start() - MAX_BEFORE_HINT)) + 1
    markers = deque(_MARKER.finditer(tail, line_start), MAX_MARKERS)
    clauses = (_clause(tail, marker) for marker in reversed(markers))
    return [clause for clause in clauses if clause is not None]


def _clause(tail: str, marker: re.Match[str]) -> MarkedClause | None:
    line_start = tail.rfind("\n", 0, marker.start()) + 1
    if _COMMENT.search(tail[line_start : marker.start()]):
        return None
    gap = _GAP.match(tail, marker.end())
    start = gap.end() if gap else marker.end()
    rest = tail[start : start + MAX_CLAUSE_CHARS]
    line = rest.split("\n", 1)[0]
    end = clause_end(line)
    return MarkedClause(line[:end].strip(" \t*_`"), marker.start(), start + end, rest)


def clause_end(line: str) -> int:
    """Return where the first clause of a line ends: at a full stop, or before "because"."""
    for end in _CLAUSE_END.finditer(line):
        is_correction = end[0].strip(" ,").lower() == "but" and _NOT.search(line[: end.start()])
        if not is_correction:
            return end.start()
    return len(line)


def is_comment(line: str) -> bool:
    """Return True for a line in a comment of some language, which states nothing."""
    return _COMMENT.search(line) is not None
