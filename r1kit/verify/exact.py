"""Verify answers that are words: a name, a label, a short text.

Both sides are compared in Unicode's compatibility form, without regard to case, spaces and a final
full stop. Source: the exact match of question answering (SQuAD). Departure: articles and other
punctuation count, since they may be the point of an answer.
"""

from __future__ import annotations

import unicodedata

from r1kit.types import Verdict
from r1kit.verify.answer import marked_line
from r1kit.verify.statements.boxes import answer_tag
from r1kit.verify.statements.policy import STRICT, GradingPolicy
from r1kit.verify.statements.reading import read

MAX_EXACT_CHARS = 10_000
"""maximum length of an answer; a longer one is wrong"""


def check_exact(text: str, gold: str, policy: GradingPolicy = STRICT) -> Verdict:
    """Compare the final answer of a text with the gold answer.

    The answer is in an answer tag or a box, or the line after a marker, else it is the whole text.
    """
    tag = answer_tag(text)
    text = text if tag is None else tag
    stated = read(text, policy)
    if stated.text is None and stated.form != "none" and plain(gold):
        return Verdict(False, None, stated.why)
    marked = None if stated.form == "box" else marked_line(text)
    answer = marked or stated.text or text.strip()
    extracted = answer[:200] or None
    if not plain(gold):
        return Verdict(None, extracted, "the gold answer is empty")
    if not answer or len(answer) > MAX_EXACT_CHARS:
        return Verdict(False, extracted, f"not a text of 1 to {MAX_EXACT_CHARS} characters")
    is_equal = plain(answer) == plain(gold)
    return Verdict(is_equal, extracted, "equal" if is_equal else f"not {gold[:200]}")


def plain(text: str) -> str:
    """Return a text in the form that is compared."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    return " ".join(words).rstrip(".。").rstrip()
