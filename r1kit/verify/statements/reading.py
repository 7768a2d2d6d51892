"""Read the final statement of a text: the last tag, else the last box, else the last marker.

`read` returns the words of the answer, never their value: math/extract.py and exact.py go on from
there. Source: R1-Zero's template (the tag), the R1 paper's section 2.2.2 (the box). Departure from
graders that search for patterns: a statement that is denied, supposed, asked or taken back is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from r1kit.verify.statements.boxes import Box, answer_tag, boxes_before, boxes_from_end
from r1kit.verify.statements.markers import MarkedClause, marked_clauses
from r1kit.verify.statements.policy import STRICT, GradingPolicy
from r1kit.verify.statements.sentences import END_MARK
from r1kit.verify.statements.stance import is_disbelieved, is_doubtful, stance, withdrawal
from r1kit.verify.statements.words import one_of

AnswerForm = Literal["box", "answer tag", "marker", "closing sentence", "none"]

MAX_TAIL_CHARS = 4000
"""number of characters from the end in which markers and sentences are searched"""
MAX_SHOWN_CHARS = 60

_DENIED_BOX = re.compile(
    r"(?:\b(?:not|cannot|never|rul(?:es?|ed|ing) out|reject(?:s|ed|ing)?|discard(?:s|ed|ing)?"
    r"|eliminat(?:es?|ed|ing))|n't|\\neq?|≠"
    r"|不是|不可能是|不会是|并非|而非|不为|不等于|rather than|instead of)"
    r"\s*(?:(?:possibly |actually )?be\s*)?(?:equal to)?(?:the )?(?:answer )?[\s$\\(\[:：]*$",
    re.IGNORECASE,
)
_SUPPOSITION = re.compile(
    r"\s*"
    + one_of(
        r"if\b, suppose\b, assum(?:e|ing)\b, unless\b, imagine\b",
        r"(?:one|you) (?:might|may|could)\b, i (?:don't|do not)\b, 假设, 假如",
        "如果, 若, 有人, 만약, 만일",
    ),
    re.IGNORECASE,
)
_JOINING = re.compile(
    r"and|or|also|text|quad|qquad|[a-z]|和|或|或者|及|与|以及|并且|와|과|및|또는|혹은|그리고|이고|또"
)
_CONDITION = re.compile(
    r"[^\s가-힣]\s?(?:이?라면|다면|이면|이?라고 (?:하면|가정|말|주장)|일 ?리(?:가|는)? ?없)|的话"
)
_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(rf"{END_MARK}(?=\s|$)|\n\s*\n|[。！？]")
_DENIAL = re.compile("not|rather|instead|opposed|不|非|아니|아닌|말고", re.IGNORECASE)
"""a part of the three patterns below, which is found much faster than they are"""
_ADVERB = r"(?:(?:definitely|certainly|clearly|obviously|surely|actually|simply|really) )?"
_CORRECTION = re.compile(
    rf"(?:{_ADVERB}\bnot|"
    r"不是|并非|不为|不等于)\s*(?P<denied>[^,，;；]{1,80}?)[,，]?\s*"
    r"(?:\bbut(?:\srather)?|而应?该?是|而是|而为|应?该?是|是)\s*[:：]?(?P<after>.+)"
    r"|(?P<said>[^,，;；]{1,80}?)\s*(?:이|가|은|는)?\s*(?:아니라|아니고|아닌|말고)\s*,?\s*(?P<korean>.+)",
    re.IGNORECASE,
)
_PURE_DENIAL = re.compile(
    rf"(?:is |be |it is |it's )?{_ADVERB}\bnot\b|"
    r"(?:并不|不)是|并非|不等于",
    re.IGNORECASE,
)
_DENIED_TAIL = re.compile(
    r"(?:[,，;(]\s*(?:and\s|but\s)?not|\sand not|,?\s(?:rather than|instead of"
    r"|as opposed to))\s.{1,80}$"
    r"|[,，]?\s*(?:而不是|而非|，不是|，非)[^,，]{1,40}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class StatedAnswer:
    """The answer of a text: `StatedAnswer("5 cm", "marker", "")`; the text is None without one."""

    text: str | None
    form: AnswerForm
    why: str
    """why there is no text, as a phrase"""
    rest: str = ""
    """the text from a marked clause on: a formula may go beyond the end of its line"""
    parts: tuple[str, ...] = ()
    """contents of several boxes in one sentence, which `text` has as a list"""


def read(text: str, policy: GradingPolicy = STRICT) -> StatedAnswer:
    """Return the final statement of a text."""
    inner = answer_tag(text)
    if inner is None:
        return _read(text, policy)
    if not inner:
        return StatedAnswer(None, "answer tag", "the answer tag is empty")
    reading = _read(inner, policy)
    return StatedAnswer(inner, "answer tag", "", inner) if reading.form == "none" else reading


def _read(text: str, policy: GradingPolicy) -> StatedAnswer:
    boxes = boxes_from_end(text)
    if boxes and (box := _last_box(boxes, policy)) is not None:
        return _read_box(text, box, policy)
    is_cut_off = any(box.content is None for box in boxes)
    if boxes and policy.last_box_must_be_whole:
        follows = marked_clauses(text[boxes[0].end :][-MAX_TAIL_CHARS:])
        if is_cut_off or (boxes[-1].content and not follows):
            why = "the last box is cut off" if is_cut_off else "the last box is empty"
            return StatedAnswer(None, "box", why)
    return _read_marker(text[-MAX_TAIL_CHARS:].rstrip(), policy)


def _last_box(boxes: list[Box], policy: GradingPolicy) -> Box | None:
    box = boxes[0] if policy.last_box_must_be_whole else boxes[-1]
    return box if box.content else None


def _read_box(text: str, box: Box, policy: GradingPolicy) -> StatedAnswer:
    assert box.content is not None
    before, rest = text[max(0, box.start - 200) : box.start], text[box.end :][:MAX_TAIL_CHARS]
    parts: tuple[str, ...] = (box.content,)
    if "box" in before and policy.boxes_in_a_sentence_are_a_list:
        parts = _boxes_of_a_sentence(text, box)
        if not parts:
            return StatedAnswer(None, "box", "several boxes, in doubt")
    answer = StatedAnswer(", ".join(parts), "box", "", parts=parts if len(parts) > 1 else ())
    if not policy.can_be_taken_back:
        return answer
    if not is_asserted_box(text, box):
        return StatedAnswer(None, "box", "the last box is denied, supposed or asked")
    if (taken_back := withdrawal(rest)) is not None:
        return StatedAnswer(None, "box", f"taken back: {taken_back[:MAX_SHOWN_CHARS]!r}")
    return answer


def is_asserted_box(text: str, box: Box) -> bool:
    """Return False if the sentence of a box denies, supposes, reports or asks it."""
    before = _SENTENCE_END.split(text[max(0, box.start - 200) : box.start])[-1]
    if _DENIED_BOX.search(before[-24:]):
        return False
    after = text[box.end : box.end + MAX_TAIL_CHARS].split("\n", 1)[0]
    end = _SENTENCE_END.search(after)
    sentence = f"{before}\\boxed{{}}{after[: end.end()] if end else after}"
    if not _SUPPOSITION.match(before):  # "it is true if and only if x = \boxed{5}" states 5
        sentence, before = sentence[len(before) :], ""
    attitude = stance(sentence, len(before), len(before) + len("\\boxed{}"))
    return attitude in ("asserted", "doubted")


def _boxes_of_a_sentence(text: str, last: Box) -> tuple[str, ...]:
    """Return the distinct boxes of the last box's sentence; none if they are in doubt."""
    contents, first = [last.content or ""], last
    for box in boxes_before(text, last.start):
        between = text[box.end : first.start]
        if is_doubtful(between) and box.content != last.content:
            return ()
        if _SENTENCE_END.search(between) or not _joins(between):
            break
        contents.insert(0, box.content or "")
        first = box
    start = max(0, first.start - 200)
    ends = [end.end() for end in _SENTENCE_END.finditer(text, start, first.start)]
    if len(contents) > 1 and is_doubtful(text[ends[-1] if ends else start : first.start]):
        return ()
    return tuple(dict.fromkeys(contents))


def _joins(between: str) -> bool:
    return all(_JOINING.fullmatch(word.lower()) for word in _WORD.findall(between))


def _read_marker(tail: str, policy: GradingPolicy) -> StatedAnswer:
    why = "no final answer"
    for clause in marked_clauses(tail):
        if not clause.text:
            continue
        reading = _stated(tail, clause)
        if reading is None:
            why = "the marked answer is denied, supposed or asked"
            continue
        if policy.can_be_taken_back and (taken_back := withdrawal(tail[clause.end :])) is not None:
            return StatedAnswer(None, "marker", f"taken back: {taken_back[:MAX_SHOWN_CHARS]!r}")
        return reading
    return StatedAnswer(None, "none", why)


def _stated(tail: str, clause: MarkedClause) -> StatedAnswer | None:
    """Return what a marked clause asserts; None if it asserts nothing."""
    start = max(
        tail.rfind("\n", 0, clause.start),
        *(tail.rfind(end, 0, clause.start) for end in ".。!?！？"),
    )
    sentence = tail[start + 1 : clause.start] + tail[clause.start : clause.end + 1]
    offset = clause.start - start - 1
    attitude = stance(sentence, offset, len(sentence.rstrip(" ?？")))
    if attitude in ("supposed", "reported", "asked") or is_disbelieved(sentence[:offset]):
        return None
    text = None if _is_conditional(clause.text) else corrected(clause.text)
    if text is None:
        return None
    return StatedAnswer(text, "marker", "", clause.rest if text == clause.text else text)


def _is_conditional(clause: str) -> bool:
    return not clause.isascii() and _CONDITION.search(clause) is not None


def corrected(clause: str) -> str | None:
    """Return a clause without what it denies: `not 5 but 6` → `6`; None if nothing is left."""
    if not _DENIAL.search(clause):
        return clause.strip() or None
    correction = _CORRECTION.match(clause)
    if correction is not None:
        return (correction["after"] or correction["korean"]).strip()
    if _PURE_DENIAL.match(clause):
        return None
    return _DENIED_TAIL.sub("", clause).strip() or None
