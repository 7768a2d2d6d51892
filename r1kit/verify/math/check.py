"""Verify that the final answer of a text matches the gold answer.

The exact part (grammar.py, algebra.py, same.py) runs first and decides only the cases it is sure
of. Answers that it cannot parse go to Math-Verify in a process that can be killed (pool.py), unless
they have a form on which Math-Verify is known to be wrong or slow. GradingPolicy and guarantees:
docs/verifiers.md.

Source: inspect_ai's scorer (limits before any algebra, nothing evaluated, statuses) and the audit
of Math-Verify 0.9.0 in docs/verifiers.md. Departure: most answers never reach computer algebra.
"""

from __future__ import annotations

import re
from functools import lru_cache

from r1kit.types import Verdict
from r1kit.verify.math import algebra, units
from r1kit.verify.math.extract import formula_in_words, read_answer, whole_statements
from r1kit.verify.math.forms import TextPair, is_rounding, is_unfinished, plain_form, simplified
from r1kit.verify.math.grammar import parse
from r1kit.verify.math.meanings import are_same_words
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
from r1kit.verify.statements.boxes import last_boxed
from r1kit.verify.statements.policy import STRICT, GradingPolicy
from r1kit.verify.statements.reading import StatedAnswer

MAX_ASKED_CHARS = 600
MAX_ASKED_NESTING = 20
MAX_SHOWN_CHARS = 200
"""maximum number of characters of the extracted answer shown in the verdict"""

_DIGITS = re.compile(r"[0-9]+")
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
_GOES_ON = re.compile(r"[0-9]\s*\\ldots\s*$")
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


def check_math(
    text: str, gold: str, pool: Pool | None = None, policy: GradingPolicy = STRICT
) -> Verdict:
    """Return the verdict on the answer part of a completion, with its thinking already removed.

    The verdict is undecided if `gold` cannot be parsed or a limit is hit; `why` says which, and how
    the answer was stated unless it is in a box. Takes less than a second of processor time. `pool`
    defaults to the pool of this process, which starts with its first answer.
    """
    pool = pool or default_pool()
    reading = read_answer(text, policy)
    extracted = reading.text
    excerpt = extracted[:MAX_SHOWN_CHARS] if extracted else None
    gold_text = clean(last_boxed(gold) or gold)
    if not gold_text:
        return Verdict(None, excerpt, "the gold answer is empty")
    if _is_written_like(gold_text, reading):
        return Verdict(True, excerpt, f"equal as written ({reading.form})")
    if extracted is None:
        return Verdict(False, None, reading.why)
    if len(extracted) > MAX_CHARS:
        return Verdict(False, excerpt, f"longer than {MAX_CHARS} characters")
    if (formula := formula_in_words(gold)) is not None:
        as_written = judge(gold_text, clean(extracted), policy)
        if not isinstance(as_written, Decision) or not as_written.same:
            gold_text = clean(formula)
    decision = _decision(gold_text, clean(extracted), pool, policy)
    if reading.parts and not decision.same:
        decisions = [_decision(gold_text, clean(part), pool, policy) for part in reading.parts]
        if all(each.same for each in decisions):
            decision = Decision(True, "equal in every box")
    stated = "" if reading.form == "box" else f" ({reading.form})"
    return Verdict(decision.same, excerpt, f"{decision.why}{stated}")


def _is_written_like(gold: str, reading: StatedAnswer) -> bool:
    """Return True if the words after a marker are the gold answer, which may be a sentence."""
    return " " in gold and any(
        len(part) < 2 * len(gold) and clean(part).rstrip(" .") == gold.rstrip(" .")
        for part in whole_statements(reading)
    )


def _decision(gold: str, answer: str, pool: Pool, policy: GradingPolicy) -> Decision:
    if answer == gold:
        return Decision(True, "equal as written")
    if _PLAIN.fullmatch(gold) and _PLAIN.fullmatch(answer):  # most answers; saves a parse
        is_equal = int(gold) == int(answer)
        return Decision(is_equal, "equal" if is_equal else f"not {gold}")
    if policy.needs_results and is_unfinished(gold, answer):
        return Decision(False, "a computation without its result")
    decision = judge(gold, answer, policy)
    if isinstance(decision, Decision):
        return decision
    asked = pool.ask(*map(_latex, _without_names(*decision)))
    if asked.same is None and _DIGITS.sub("0", gold) == _DIGITS.sub("0", answer):
        return Decision(False, "the same but for a number")  # nobody can parse either
    return asked


def judge(gold: str, answer: str, policy: GradingPolicy = STRICT) -> Decision | TextPair:
    """Decide on two cleaned texts; return the pair that Math-Verify has to compare if it must."""
    decision = decide(gold, answer)
    if decision is not None and decision.same:
        return decision
    open_pair = None if decision else (gold, answer)
    for pair in simplified(gold, answer, policy):
        other = Decision(True, "equal") if pair[0] == pair[1] else decide(*pair)
        if other is None:
            open_pair = pair
        elif other.same:
            return other
        elif decision is None or decision.same is None:
            decision = other
            open_pair = None
    if plain_form(gold) == plain_form(answer) or are_same_words(gold, answer):
        return Decision(True, "equal as written")
    if policy.rounds and is_rounding(gold, answer):
        return Decision(True, "equal after rounding")
    if open_pair is not None or decision is None:
        return open_pair or (gold, answer)
    return decision


def decide(gold: str, answer: str) -> Decision | None:
    """Decide on two cleaned texts without Math-Verify; None if Math-Verify is needed."""
    gold_value, answer_value = _value(gold), _value(answer)
    if isinstance(gold_value, LimitError | OversizeError | UndefinedError):
        return Decision(None, f"the gold answer: {gold_value}")
    if isinstance(answer_value, OversizeError | UndefinedError):
        return Decision(False, str(answer_value))
    if isinstance(answer_value, LimitError):
        return Decision(None, f"limit: {answer_value}")
    if not isinstance(gold_value, RefusalError) and not isinstance(answer_value, RefusalError):
        try:
            is_equal = accepts(gold_value, answer_value)
        except RefusalError as error:
            return Decision(None, f"limit: {error}")
        if is_equal is not None:
            return Decision(is_equal, "equal" if is_equal else f"not {gold[:MAX_SHOWN_CHARS]}")
        if _is_huge(gold_value) or _is_huge(answer_value):
            return Decision(None, "limit: a number of too many digits")
    return _refusal(gold, answer)


@lru_cache(maxsize=1024)  # a group's completions share the gold answer and often their answers
def _value(text: str) -> Value | RefusalError:
    try:
        return parse(text)
    except RefusalError as error:
        return error.with_traceback(None)


def refusal_of(text: str) -> RefusalError | None:
    """Return why the exact part does not parse a cleaned text; None if it does."""
    value = _value(text)
    return value if isinstance(value, RefusalError) else None


def _is_huge(value: Value | RefusalError) -> bool:
    return isinstance(value, algebra.Ratio) and algebra.has_huge(value)


def _refusal(gold: str, answer: str) -> Decision | None:
    """Decide on inputs that must not reach Math-Verify; None if they may."""
    if not is_formula(gold):
        return Decision(False if is_prose(gold) else None, f"not {gold[:MAX_SHOWN_CHARS]}")
    if not is_formula(answer):
        return Decision(False, "not a formula")
    if any(map(changes_value, _TEXT.findall(answer))) and not _TEXT.search(gold):
        return Decision(False, "words that change what is meant")
    foreign = set(_TEXT.findall(answer)) - set(_TEXT.findall(gold))
    if any(units.canonical(word) is None or not units.is_measure(word) for word in foreign):
        return Decision(False, "words that the gold answer has not")
    if "\\ldots" not in gold and _GOES_ON.search(answer):
        return Decision(False, "a number that continues")
    for shape in (_NOT_VALUES, _LONG_DECIMAL, _SUBSCRIPTED_NUMBER):
        if (match := shape.search(answer)) and not shape.search(gold):
            return Decision(False, f"{match[0]!r} where the gold answer has none")
    gold_side, answer_side = _without_names(gold, answer)
    if "=" in answer_side and "=" not in gold_side:
        return Decision(False, "an equation where the gold answer is none")
    if any(_TOO_HARD.search(t) or _SUBSCRIPTED_NUMBER.search(t) for t in (gold, answer)):
        return Decision(None, "limit: not to be decided safely")
    return None


def _without_names(gold: str, answer: str) -> tuple[str, str]:
    """Reduce `x = 5` to `5` if the other text is not an equation."""
    if ("=" in gold) == ("=" in answer):
        return gold, answer
    matches = [_NAMED.match(text) for text in (gold, answer)]
    gold_value, answer_value = (
        m["value"] if m else t for m, t in zip(matches, (gold, answer), strict=True)
    )
    return gold_value, answer_value


def is_formula(text: str) -> bool:
    """Return True if a cleaned text is safe to pass to a LaTeX parser."""
    if len(text) > MAX_ASKED_CHARS or not text.isascii() or not text.isprintable():
        return False
    depth = max_depth = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        max_depth = max(max_depth, depth)
    return max_depth <= MAX_ASKED_NESTING and _CODE.search(text) is None


def is_prose(gold: str) -> bool:
    """Return True for plain words in any language; these match only if spelled the same."""
    return len(gold) <= MAX_ASKED_CHARS and not any(c.isdigit() or c in "\\{}^=" for c in gold)


def _latex(text: str) -> str:
    for pattern, replacement in _FOR_MATH_VERIFY:
        text = pattern.sub(replacement, text)
    return text
