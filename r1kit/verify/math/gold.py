"""What the verifier makes of a gold answer, before any answer is compared with it."""

from __future__ import annotations

from typing import Literal

from r1kit.verify.math.check import is_formula, is_prose, refusal_of
from r1kit.verify.math.refusals import LimitError, OversizeError, UndefinedError
from r1kit.verify.math.tokens import MAX_CHARS, clean
from r1kit.verify.statements.boxes import last_boxed

GoldKind = Literal["exact", "Math-Verify", "words", "refused"]
"""how answers to a gold are decided: by the exact part, by Math-Verify, only if spelled the same,
or not at all"""


def gold_kind(gold: str) -> tuple[GoldKind, str]:
    """Return how `check_math` decides answers to this gold, and why in a phrase."""
    text = clean(last_boxed(gold) or gold)
    if not text:
        return "refused", "is empty"
    if len(text) > MAX_CHARS:
        return "refused", f"is longer than {MAX_CHARS} characters"
    refusal = refusal_of(text)
    if refusal is None and (text.isascii() or not is_prose(text)):
        return "exact", "parses"
    if isinstance(refusal, LimitError | OversizeError | UndefinedError):
        return "refused", f"cannot be decided ({refusal})"
    if is_prose(text):
        return "words", "is words, which match only if spelled the same"
    if not is_formula(text):
        return "refused", "is neither a formula nor plain words"
    return "Math-Verify", "is left to Math-Verify"
