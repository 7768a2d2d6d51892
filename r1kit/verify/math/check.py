"""Is the final answer of a text what the gold answer asks for?

First the exact part (grammar.py, algebra.py, same.py), which decides what it is sure of. What it
cannot read goes to Math-Verify in a process that can be killed (pool.py), unless it has a shape on
which Math-Verify is known to be wrong or slow. Policy and promises: docs/verifiers.md.

Source: inspect_ai's scorer (limits before any algebra, nothing evaluated, statuses) and the audit
of Math-Verify 0.9.0 in docs/verifiers.md. Departure: most answers never reach computer algebra.
"""

from __future__ import annotations

import re
from functools import lru_cache

from r1kit.types import Verdict
from r1kit.verify.answer import last_boxed
from r1kit.verify.math import algebra
from r1kit.verify.math.extract import extract
from r1kit.verify.math.grammar import parse
from r1kit.verify.math.pool import Decision, Pool, default_pool
from r1kit.verify.math.refusals import (
    LimitError,
    OversizeError,
    RefusalError,
    UndefinedError,
)
from r1kit.verify.math.same import accepts
from r1kit.verify.math.tokens import MAX_CHARS, clean
from r1kit.verify.math.units import changes_value
from r1kit.verify.math.values import Value

MAX_ASKED_CHARS = 600
MAX_ASKED_NESTING = 20
MAX_SHOWN_CHARS = 200
"""of what was extracted, in the verdict"""

_PLAIN = re.compile(r"-?[0-9]{1,18}")
_CODE = re.compile(
    r"__|[;@#\"'`?]|\\(?:input|write|def|csname)"
    r"|\b(?:import|lambda|eval|exec|open|getattr|system|print|return)\b"
)
_NOT_VALUES = re.compile(
    r"\\(?:sum|prod|i*int|oint|lim|limsup|liminf|bigcup|bigcap|approx|sime?q?|equiv|cong|p?mod|bmod"
    r"|phantom|hspace|neg|ne|neq)(?![A-Za-z])"
)
"""What an answer may hold only if the gold answer does."""
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_LONG_DECIMAL = re.compile(r"\.[0-9]{7,}")
_SUBSCRIPTED_NUMBER = re.compile(r"[0-9]\s*_")
_TOO_HARD = re.compile(
    r"\\ldots|[0-9]{2,}[\s}]*!|[)}!]\s*!|\^\s*\{?\s*-?\s*[0-9]{3,}"
    r"|\^\s*(?:[A-Za-z0-9]\s*\^|\{[^{}]*\^)|[0-9]{40,}|\.[0-9]{20,}|0\.0{5,}"
)
"""Ellipses, factorials, large powers, towers and tiny numbers, which Math-Verify compares as floats
or computes for ever."""
_NAMED = re.compile(r"^[A-Za-z](?:\([a-z]\))?\s*=\s*(?P<value>[^=<>]+)$")
_FOR_MATH_VERIFY = (
    (re.compile(r"([0-9.]+)\s*\\degree(?![A-Za-z])"), r"(\\frac{\1\\pi}{180})"),
    (re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<![A-Za-z\\])sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![A-Za-z\\])(sin|cos|tan|log|ln|exp)(?![A-Za-z])"), r"\\\1 "),
)


def check_math(text: str, gold: str, pool: Pool | None = None) -> Verdict:
    """The verdict on the answer part of a completion, its thinking already taken off.

    Undecided where `gold` cannot be read or a limit is hit; `why` says which. Takes less than a
    second; `pool` is the one of this process by default.
    """
    extracted = extract(text)
    shown = extracted[:MAX_SHOWN_CHARS] if extracted else None
    wanted = clean(last_boxed(gold) or gold)
    if not wanted:
        return Verdict(None, shown, "the gold answer is empty")
    if extracted is None:
        return Verdict(False, None, "no final answer")
    if len(extracted) > MAX_CHARS:
        return Verdict(False, shown, f"longer than {MAX_CHARS} characters")
    answer = clean(extracted)
    if answer == wanted:
        return Verdict(True, shown, "equal as written")
    if _PLAIN.fullmatch(wanted) and _PLAIN.fullmatch(answer):  # most answers; spares a parse
        same = int(wanted) == int(answer)
        return Verdict(same, shown, "equal" if same else f"not {wanted}")
    opinion = decide(wanted, answer)
    if opinion is None:
        questions = _without_names(wanted, answer)
        opinion = (pool or default_pool()).ask(*map(_latex, questions))
    return Verdict(opinion.same, shown, opinion.why)


def decide(gold: str, answer: str) -> Decision | None:
    """What can be said of two clean texts without Math-Verify, None where it has to be asked."""
    wanted, found = _value(gold), _value(answer)
    if isinstance(wanted, LimitError | OversizeError | UndefinedError):
        return Decision(None, f"the gold answer: {wanted}")
    if isinstance(found, OversizeError | UndefinedError):
        return Decision(False, str(found))
    if isinstance(found, LimitError):
        return Decision(None, f"limit: {found}")
    if not isinstance(wanted, RefusalError) and not isinstance(found, RefusalError):
        try:
            same = accepts(wanted, found)
        except RefusalError as error:
            return Decision(None, f"limit: {error}")
        if same is not None:
            return Decision(same, "equal" if same else f"not {gold[:MAX_SHOWN_CHARS]}")
        if _is_huge(wanted) or _is_huge(found):
            return Decision(None, "limit: a number of too many digits")
    return _refused(gold, answer)


@lru_cache(maxsize=1024)  # the completions of a group share a gold answer and many of their own
def _value(text: str) -> Value | RefusalError:
    try:
        return parse(text)
    except RefusalError as error:
        return error.with_traceback(None)


def _is_huge(value: Value | RefusalError) -> bool:
    return isinstance(value, algebra.Ratio) and algebra.has_huge(value)


def _refused(gold: str, answer: str) -> Decision | None:
    """The verdict on what Math-Verify is not to be asked."""
    if not is_formula(gold):
        return Decision(False if _is_prose(gold) else None, f"not {gold[:MAX_SHOWN_CHARS]}")
    if not is_formula(answer):
        return Decision(False, "not a formula")
    if any(map(changes_value, _TEXT.findall(answer))) and not _TEXT.search(gold):
        return Decision(False, "words that change what is meant")
    for shape in (_NOT_VALUES, _LONG_DECIMAL, _SUBSCRIPTED_NUMBER):
        if (found := shape.search(answer)) and not shape.search(gold):
            return Decision(False, f"{found[0]!r} where the gold answer has none")
    wanted, asked = _without_names(gold, answer)
    if "=" in asked and "=" not in wanted:
        return Decision(False, "an equation where the gold answer is none")
    if any(_TOO_HARD.search(t) or _SUBSCRIPTED_NUMBER.search(t) for t in (gold, answer)):
        return Decision(None, "limit: not to be decided safely")
    return None


def _without_names(gold: str, answer: str) -> tuple[str, str]:
    """`x = 5` against something that is no equation is `5`."""
    if ("=" in gold) == ("=" in answer):
        return gold, answer
    named = [_NAMED.match(text) for text in (gold, answer)]
    wanted, asked = (m["value"] if m else t for m, t in zip(named, (gold, answer), strict=True))
    return wanted, asked


def is_formula(text: str) -> bool:
    """Whether a clean text may be shown to a parser of LaTeX at all."""
    if len(text) > MAX_ASKED_CHARS or not text.isascii() or not text.isprintable():
        return False
    depth = deepest = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    return deepest <= MAX_ASKED_NESTING and _CODE.search(text) is None


def _is_prose(gold: str) -> bool:
    """Words of any language: what is not written the same is another answer."""
    return len(gold) <= MAX_ASKED_CHARS and not any(c.isdigit() or c in "\\{}^=" for c in gold)


def _latex(text: str) -> str:
    for pattern, written in _FOR_MATH_VERIFY:
        text = pattern.sub(written, text)
    return text
