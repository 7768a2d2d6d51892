"""Verify that the final answer of a text matches the gold answer.

The exact part (grammar.py, algebra.py, same.py) runs first and decides only the cases it is sure
of. Answers that it cannot parse go to Math-Verify in a process that can be killed (pool.py), unless
they have a form on which Math-Verify is known to be wrong or slow. Policy and guarantees:
docs/verifiers.md.

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
"""maximum number of characters of the extracted answer shown in the verdict"""

_PLAIN = re.compile(r"-?[0-9]{1,18}")
_CODE = re.compile(
    r"__|[;@#\"'`?]|\\(?:input|write|def|csname)"
    r"|\b(?:import|lambda|eval|exec|open|getattr|system|print|return)\b"
)
_NOT_VALUES = re.compile(
    r"\\(?:sum|prod|i*int|oint|lim|limsup|liminf|bigcup|bigcap|approx|sime?q?|equiv|cong|p?mod|bmod"
    r"|phantom|hspace|neg|ne|neq)(?![A-Za-z])"
)
"""commands that an answer may contain only if the gold answer does"""
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_LONG_DECIMAL = re.compile(r"\.[0-9]{7,}")
_SUBSCRIPTED_NUMBER = re.compile(r"[0-9]\s*_")
_TOO_HARD = re.compile(
    r"\\ldots|[0-9]{2,}[\s}]*!|[)}!]\s*!|\^\s*\{?\s*-?\s*[0-9]{3,}"
    r"|\^\s*(?:[A-Za-z0-9]\s*\^|\{[^{}]*\^)|[0-9]{40,}|\.[0-9]{20,}|0\.0{5,}"
)
"""Ellipses, factorials, large powers, power towers and tiny numbers, which Math-Verify compares as
floats or never finishes computing."""
_NAMED = re.compile(r"^[A-Za-z](?:\([a-z]\))?\s*=\s*(?P<value>[^=<>]+)$")
_FOR_MATH_VERIFY = (
    (re.compile(r"([0-9.]+)\s*\\degree(?![A-Za-z])"), r"(\\frac{\1\\pi}{180})"),
    (re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<![A-Za-z\\])sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![A-Za-z\\])(sin|cos|tan|log|ln|exp)(?![A-Za-z])"), r"\\\1 "),
)


def check_math(text: str, gold: str, pool: Pool | None = None) -> Verdict:
    """Return the verdict on the answer part of a completion, with its thinking already removed.

    The verdict is undecided if `gold` cannot be parsed or a limit is hit; `why` says which. Takes
    less than a second. `pool` defaults to the pool of this process.
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
    if _PLAIN.fullmatch(wanted) and _PLAIN.fullmatch(answer):  # most answers; saves a parse
        same = int(wanted) == int(answer)
        return Verdict(same, shown, "equal" if same else f"not {wanted}")
    opinion = decide(wanted, answer)
    if opinion is None:
        questions = _without_names(wanted, answer)
        opinion = (pool or default_pool()).ask(*map(_latex, questions))
    return Verdict(opinion.same, shown, opinion.why)


def decide(gold: str, answer: str) -> Decision | None:
    """Decide on two cleaned texts without Math-Verify; None if Math-Verify is needed."""
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


@lru_cache(maxsize=1024)  # a group's completions share the gold answer and often their answers
def _value(text: str) -> Value | RefusalError:
    try:
        return parse(text)
    except RefusalError as error:
        return error.with_traceback(None)


def _is_huge(value: Value | RefusalError) -> bool:
    return isinstance(value, algebra.Ratio) and algebra.has_huge(value)


def _refused(gold: str, answer: str) -> Decision | None:
    """Decide on inputs that must not reach Math-Verify; None if they may."""
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
    """Reduce `x = 5` to `5` if the other text is not an equation."""
    if ("=" in gold) == ("=" in answer):
        return gold, answer
    named = [_NAMED.match(text) for text in (gold, answer)]
    wanted, asked = (m["value"] if m else t for m, t in zip(named, (gold, answer), strict=True))
    return wanted, asked


def is_formula(text: str) -> bool:
    """Return True if a cleaned text is safe to pass to a LaTeX parser."""
    if len(text) > MAX_ASKED_CHARS or not text.isascii() or not text.isprintable():
        return False
    depth = deepest = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    return deepest <= MAX_ASKED_NESTING and _CODE.search(text) is None


def _is_prose(gold: str) -> bool:
    """Return True for plain words in any language; these match only if spelled the same."""
    return len(gold) <= MAX_ASKED_CHARS and not any(c.isdigit() or c in "\\{}^=" for c in gold)


def _latex(text: str) -> str:
    for pattern, written in _FOR_MATH_VERIFY:
        text = pattern.sub(written, text)
    return text
