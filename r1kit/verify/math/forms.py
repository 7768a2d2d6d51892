"""Other forms of one answer: a gold with several, a letter with its value, a name, a qualifier.

`simplified` returns pairs of texts of which any may prove that an answer is right; it is asked only
if the pair as written does not. What it takes away never changes a value: the letter of an option,
`f(2) =`, "for any integer n", a decimal behind ≈ that the value rounds to.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from r1kit.verify.math.algebra import Ratio
from r1kit.verify.math.grammar import parse
from r1kit.verify.math.number_words import in_digits
from r1kit.verify.math.numeric import approximate
from r1kit.verify.math.refusals import RefusalError
from r1kit.verify.math.units import is_cjk_unit
from r1kit.verify.math.values import Quantity
from r1kit.verify.statements.policy import GradingPolicy

TextPair = tuple[str, str]

_SPECIAL = re.compile(
    r"\\ldots|mod|\([0-9]|[#=≈\u3040-\uffff]|\\text|\\approx|\\in|\\sim|[A-Za-z]{3}|C|k|n|[A-J][.):]|_"
)
_TEXT_ONLY = re.compile(r"\\text\{([^{}]*)\}")
_IN_BRACKETS = re.compile(
    r"(?P<value>.*?[^\s(])\s*(?:\\text\{\(?(?P<words>[^{}()]*)\)?\}|\((?P<other>[^()]*)\))"
)
_REASON = re.compile(
    r"(?P<value>.*?[^\s(,;])[\s,;(]*\\text\{[\s,;(]*(?:since|because|as|where|by)\s.*", re.DOTALL
)
_CLOCK = re.compile(r"\\text\{[ap]m ([0-9:]+)\}")
_GOES_ON = re.compile(r"(?P<value>.*[0-9])\s*\\ldots", re.DOTALL)
_RESIDUE = re.compile(r"(?P<value>[-0-9a-z+*^ ]+?)\s*\(?\s*\\[pb]?mod(?![a-z]).*", re.DOTALL)
_ABOUT = re.compile(
    r"(?:\\approx\s*|\\text\{\s*(?:approximately|about|approx\.?)\s*\}\s*|(?:approximately|about|approx\.)\s"
    r"|约等?于?|大约|약\s?)(?=-?\s?[0-9.$\\])",
    re.IGNORECASE,
)
_NOTE = re.compile(
    r"\s*(?:\\text\{|\()\s*(?:double root|repeated root|multiplicity [a-z0-9]+|only)\s*[)}]$"
)
_FUNCTION_OF = re.compile(r"(?P<name>[A-Za-z])\s?\((?P<letter>[a-z])\)\s*=\s*(?P<body>[^=]+)")
_ALTERNATIVES = re.compile(r"\s*(?:\\?#\s*){2}\s*")
_WITH_INTERVAL = re.compile(r"(.*(?:[<>]|\\[lg]e).*?)\s*:\s*([(\[].*[)\]])")
_OPTION = re.compile(
    r"(?:\\text\{\s*\(?(?P<roman>[A-J])\s*[).:]?\s*\}[.:)]?|\((?P<round>[A-J])\)|(?P<plain>[A-J])[.):])\s*(?P<value>\S.*)?",
    re.DOTALL,
)
_LETTER = re.compile(r"(?:\\text\{)?\(?([A-J])\)?\}?")
_APPROXIMATION = re.compile(
    r"(?P<value>.+?)\s*(?:\\(?:approx|simeq|doteq|fallingdotseq)(?![A-Za-z])|(?<==)(?=\s*-?[0-9]*\.[0-9]{2}))\s*"
    r"(?P<decimal>-?[0-9][0-9,]*(?:\.[0-9]+)?"
    r"|-?\.[0-9]+)(?:\\ldots)?\s*(?P<unit>(?:\\text\{[^{}]*\}|%|\\degree|[A-Za-z ]{1,20})?)"
)
_NAME = re.compile(
    r"(?P<name>[A-Za-z]{1,3}(?:\^\{-1\})?(?:_(?:\{[^{}]{1,24}\}|[A-Za-z0-9]))?'{0,2}(?:\s?\([^()=]{1,12}\))?|\|[A-Z]{2}\|"
    r"|\\(?:angle|triangle|overline|vec|overrightarrow|hat|bar|measuredangle)\s?\{?\s?[A-Z]{1,3}\}?"
    r"|\|\\(?:vec|overrightarrow)\{[A-Z]{2}\}\|"
    r"|\\(?:sin|cos|tan|det|dim|lim|max|min|deg|gcd|operatorname\{[a-z]+\})\s?\(?\{?\\?[A-Za-z]{1,6}\}?\)?"
    r"|\\text\{[^{}0-9]{1,40}\}(?:\([A-Za-z, ]{1,9}\))?"
    r"|\\frac\s?\{\s?d\s?\^?\{?[0-9]?\}?\s?[a-z]?\}\{d\s?[a-z]\s?\^?\{?[0-9]?\}?\}(?:\s?[a-z])?|[A-Z]{1,2}(?:\s?:\s?[A-Z]{1,2})+"
    r"|[a-z](?:\s?:\s?[a-z])+"
    r"|\\(?:lim|sum|prod|i{0,2}int|max|min|sup|inf)(?![A-Za-z])(?:\s?[_^]\s?(?:\{[^{}]{1,40}\}|[A-Za-z0-9]|\\infty))*[^=<>+]{0,60}?"
    r"|[A-Za-z]+(?: [A-Za-z]+){0,4})\s*=\s*(?P<value>[^=<>]+)"
)
_PARAMETER = (
    r"(?:\\text\{)?\s*(?:,|;|\()?\s*(?:\\q?quad\s*)?(?:\\text\{)?\s*(?:(?:for|where|with)\s)?\s*(?:(?:any|all|every|each|some|an?)\s)?"
    r"\s*(?:arbitrary\s|fixed\s|real\s|nonzero\s|non-zero\s)*\s*"
)
_SETS = r"(?:\\mathbb\{[ZNRQC]\}|Z|N|R)(?:\^?\{?[+*]\}?|_\+)?"
_QUALIFIERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"[\s,;(]*(?:\\q?quad\s*)?(?:\\text\{{[^{{}}]{{0,24}}\}}\s*)?(?:(?:for|where|with)\s(?:(?:any|all|every|some)\s)?)?(?P<name>[a-z])\s?\\in\s?{_SETS}\)?$",
        rf"{_PARAMETER}(?:integers?|constants?|real numbers?|numbers?"
        rf"|reals?)\s*\}}?\s*(?P<name>[a-z])?\s*\)?\}}?$",
        rf"{_PARAMETER}(?P<name>[a-z])\s*\}}?\s*(?:\\text\{{)?\s*(?:is|are|be|being|as)\s(?:an?\s|any\s)?(?:arbitrary\s)?(?:real\s)?(?:integers?|constants?|real|number)(?:\snumbers?)?\)?\}}?$",
        r"[\s,;，(（]*(?:其中|这里)?\s*(?P<name>[a-z])\s*(?:为|是)(?:任意)?(?:整数|常数|实数|任意常数|任意整数)[)）]?$",
        r"[\s,;(]*(?:단,?\s*)?(?P<name>[a-z])\s*(?:는|은)\s*(?:임의의\s*)?(?:정수|상수|실수)(?:이다)?\)?$",
    )
)
_DECIMAL = re.compile(r"-?[0-9]*\.[0-9]+")
_INTEGER_NAMES = "klmnst"
_CONSTANT = re.compile(r"(?<![A-Za-z\\])(?:[Cc]_\{?[0-9]\}?|[Cc](?![A-Za-z_]))")
_CONSTANT_NAME = re.compile(r"[A-DKa-ck](?:_\{?[0-9]\}?)?")
_LETTER_NAME = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?:_\{?[0-9]\}?)?(?![A-Za-z])")
_MARKUP = re.compile(
    r"\\text\{([^{}]*)\}|[\s$]|\\(?:left|right|[,;:! ]|q?quad)|\\(?=(?:max|min)(?![A-Za-z]))"
)


_OPERAND = r"(?=[-+]?\s*(?:[0-9.({]|\\(?:[dt]?frac|sqrt|left|\$)))"
_OPERATION = re.compile(
    rf"(?<=[0-9)}}\]!%])\s*(?:[-+*]|\\(?:times|cdot|div)(?![A-Za-z]))\s*{_OPERAND}"
    r"|(?<=[0-9)])\s*\((?=[-0-9])"
)
_ANY_OPERATION = re.compile(rf"{_OPERATION.pattern}|\\[dt]?frac|(?<=[0-9)}}])\s*/\s*(?=[0-9(])")
_WRITTEN_OUT = re.compile(
    r"(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{[-+]?[0-9]+\}|[-+]?[0-9]+)"
    r"|(?<=\()[0-9.]+\*10+(?:\+[0-9.]+(?:\*10*)?)*(?=\))"
)
"""scientific notation, and numerals as tokens.py writes them: `3万5千` is `(3*10000+5*1000)`"""
_NUMBER_OR_FRACTION = re.compile(
    r"([-+]?(?:\\?\$)?(?:[0-9][0-9,]*(?:\.[0-9]+)?(?:\s*/\s*[0-9]+)?|\\[dt]?frac\{[0-9]+\}\{[0-9]+\}))"
    r"(?:\s*(?:\\?%|\\(?:text|mathrm)\{[^{}]*\}|[a-z°]+(?: [a-z]+)*))?"
)
"""a number as a gold answer writes it, with its unit"""


def simplified(gold: str, answer: str, policy: GradingPolicy) -> list[TextPair]:
    """Return pairs of cleaned texts; the answer is right if one of them is."""
    if not _SPECIAL.search(gold) and not _SPECIAL.search(answer):
        return []
    pairs = [*_alternatives(gold, answer), *_options(gold, answer, policy)]
    pairs += [pair for pair in _without_words(gold, answer, policy) if pair not in pairs]
    pairs += [pair for pair in _reworded(gold, answer, policy) if pair not in pairs]
    return [pair for pair in pairs if pair != (gold, answer)]


def plain_form(text: str) -> str:
    """Return a cleaned text without markup: two with the same plain form are written the same."""
    words = " ".join(_MARKUP.sub(lambda m: f" {(m[1] or '').lower()} ", text).split())
    return re.sub(r"(?<![^\W_]) | (?![^\W_])", "", words)


def _reworded(gold: str, answer: str, policy: GradingPolicy) -> Iterator[TextPair]:
    """Yield pairs without what says the same twice, and with numbers in digits.

    The gold `12` for `twelve`, 72 for `72 (seventy-two)`, `27` for `27 (since x > 0)`, `5:30` for
    `5:30 pm` if the gold answer has no half of the day, `1.23` for `≈ 1.23` if it is a decimal.
    """
    plain_gold = _ABOUT.sub("", gold, count=1)
    plain_gold = _NOTE.sub("", plain_gold)
    if "." in gold and (about := _ABOUT.match(answer)) is not None:
        answer = answer[about.end() :]
    yield plain_gold, answer
    gold_number = _number_in_words(gold)
    if gold_number is None and gold.isascii() and "\\" not in gold:
        gold_number = in_digits(gold)
    number = _number_in_words(answer) if policy.reads_number_words else None
    if gold_number is not None or number is not None:
        yield gold_number or plain_gold, number or answer
    if policy.rounds and (unfinished := _GOES_ON.fullmatch(answer)) is not None:
        yield plain_gold, unfinished["value"]
    if "mod" not in answer and (residue := _RESIDUE.fullmatch(gold)) is not None:
        yield residue["value"], answer
    if (reason := _REASON.fullmatch(answer)) is not None:
        yield plain_gold, reason["value"]
    if (pair := _IN_BRACKETS.fullmatch(answer)) is not None:
        other = pair["other"] or in_digits(pair["words"] or "", is_cjk_unit)
        if other is not None and _number(other) is not None:
            is_same = abs((_number(pair["value"]) or 0.0) - (_number(other) or 0.0)) < 1e-12
            yield (plain_gold, pair["value"]) if is_same else (gold, answer)
    if (forms := _IN_BRACKETS.fullmatch(gold)) is not None and (
        either := re.fullmatch(r"\s*or\s+(.*)", forms["other"] or "", re.DOTALL)
    ):
        yield forms["value"], answer
        yield either[1], answer
    if (clock := _CLOCK.fullmatch(answer)) is not None and "m " not in gold:
        yield gold, clock[1].removesuffix(":00")
    one, other_function = _FUNCTION_OF.fullmatch(gold), _FUNCTION_OF.fullmatch(answer)
    if one and other_function and one["name"] == other_function["name"]:
        letter, other_letter = one["letter"], other_function["letter"]
        if letter != other_letter and letter not in other_function["body"]:
            body = re.sub(
                rf"(?<![A-Za-z\\]){other_letter}(?![A-Za-z])", letter, other_function["body"]
            )
            yield one["body"], body


def _number_in_words(text: str) -> str | None:
    words = _TEXT_ONLY.fullmatch(text)
    if words is None and text.isascii():
        return None
    return in_digits(words[1] if words else text, is_cjk_unit)


def _alternatives(gold: str, answer: str) -> Iterator[TextPair]:
    forms = [*_ALTERNATIVES.split(gold)]
    if (inequality := _WITH_INTERVAL.fullmatch(gold)) is not None:
        forms = [*inequality.groups()]
    if len(forms) > 1:
        yield from ((form, answer) for form in forms if form)


def _options(gold: str, answer: str, policy: GradingPolicy) -> Iterator[TextPair]:
    """Yield a letter for a letter and a value for a value; of two options both must agree."""
    if not policy.value_for_letter:
        return
    gold_letter, gold_value = option(gold)
    letter, value = option(answer)
    sole_letter = _LETTER.fullmatch(answer)
    if gold_letter and gold_value:
        if sole_letter:
            yield gold_letter, sole_letter[1]
        elif letter is None:
            yield gold_value, answer
        elif letter == gold_letter and value:
            yield gold_value, value
    elif letter and value:
        sole_gold = _LETTER.fullmatch(gold)
        yield (sole_gold[1], letter) if sole_gold else (gold, value)


def option(text: str) -> TextPair | tuple[None, str]:
    """Divide `\\\\text{(B)} 12` into letter and value; the value may be empty."""
    match = _OPTION.fullmatch(text)
    if match is None:
        return None, text
    return match["roman"] or match["round"] or match["plain"], (match["value"] or "").strip()


def _without_words(gold: str, answer: str, policy: GradingPolicy) -> Iterator[TextPair]:
    exact = _exact_part(gold, answer)
    if exact is not None:
        yield gold, exact
        answer = exact
    plain_gold, gold_name = without_qualifier(gold)
    plain_answer, answer_name = without_qualifier(answer)
    if (plain_gold, plain_answer) != (gold, answer):
        yield plain_gold, plain_answer
    if policy.renames_constants:
        for renamed in _renamed(plain_gold, plain_answer, gold_name, answer_name):
            yield plain_gold, renamed
    if ("=" in plain_gold) != ("=" in plain_answer):
        yield without_name(plain_gold), without_name(plain_answer)


def without_name(text: str) -> str:
    """Return the right side of `f(2) = 7`, whose left side only says what it is."""
    match = _NAME.fullmatch(text)
    if match is None or match["name"].strip() in match["value"]:
        return text
    return match["value"].strip()


def without_qualifier(text: str) -> tuple[str, str | None]:
    """Remove "for any integer n" from the end of a text; return the text and the letter."""
    for pattern in _QUALIFIERS:
        match = pattern.search(text)
        if match is not None and text[: match.start()].strip(" ,;"):
            return text[: match.start()].strip(" ,;"), match["name"] or ""
    return text, None


def _exact_part(gold: str, answer: str) -> str | None:
    """Return what stands before ≈ if the decimal behind it is its rounded value."""
    match = _APPROXIMATION.fullmatch(answer)
    if match is None or "approx" in gold:
        return None
    exact = match["value"].strip(" =")
    unit = match["unit"].strip()
    value = _number(exact.rpartition("=")[2])
    decimal = match["decimal"].replace(",", "")
    if value is None or not is_rounded(decimal, value):
        return None
    stated = decimal if gold.replace(",", "") == decimal else exact
    return f"{stated} {unit}".strip()


def _number(text: str) -> float | None:
    try:
        value = parse(text.strip())
    except RefusalError:
        return None
    number = value.number if isinstance(value, Quantity) else value
    return approximate(number) if isinstance(number, Ratio) else None


def is_rounded(decimal: str, value: float) -> bool:
    """Return True if a decimal is `value` rounded, or cut off, to its number of digits."""
    places = len(decimal.partition(".")[2])
    return abs(float(decimal) - value) < 10.0**-places


def is_rounding(gold: str, answer: str) -> bool:
    """Return True if one text is a decimal of at least three digits and rounds the other."""
    for decimal, exact in ((gold, answer), (answer, gold)):
        match = _DECIMAL.fullmatch(decimal)
        value = _number(exact) if match else None
        if match and value is not None and len(match[0].replace(".", "").strip("-0")) > 2:
            return is_rounded(match[0], value)
    return False


def is_unfinished(gold: str, answer: str) -> bool:
    """Return True if the gold answer is a number and the answer only says how to compute it.

    `8 - 5` for `3`, `48/2` for `24`; not `8 - 5 = 3`, `3!`, `2^5`, `1.5 \\times 10^6` or `2/6`.
    """
    number = _NUMBER_OR_FRACTION.fullmatch(gold)
    if number is None:
        return False
    is_whole = not re.search(r"[/.f]", number[1]) and "%" not in gold
    operation = _ANY_OPERATION if is_whole else _OPERATION
    sides = [_WRITTEN_OUT.sub("", side) for side in re.split(r"=|\\approx|≈", answer)]
    numeric = [side for side in sides if re.search("[0-9]", side)]
    return bool(numeric) and all(operation.search(side) for side in numeric)


def _renamed(
    gold: str, answer: str, gold_name: str | None, answer_name: str | None
) -> Iterator[str]:
    """Yield the answer with the gold's names of arbitrary constants and of an integer parameter."""
    names, other_names = set(_LETTER_NAME.findall(gold)), set(_LETTER_NAME.findall(answer))
    missing, extra = sorted(names - other_names), sorted(other_names - names)
    if not missing or len(missing) != len(extra) or len(missing) > 3:
        return
    are_constants = (
        all(_CONSTANT.fullmatch(name) for name in missing)
        and all(_CONSTANT_NAME.fullmatch(name) for name in extra)
        and "+" in gold
        and bool(names & other_names)
    )
    are_integers = len(missing) == 1 and (missing[0] == gold_name or extra[0] == answer_name)
    are_periods = len(missing) == 1 and missing[0] + extra[0] in _pairs_of_integers(gold)
    if not (are_constants or are_integers or are_periods):
        return
    for order in itertools.permutations(missing):
        mapping = dict(zip(extra, order, strict=True))
        yield _LETTER_NAME.sub(lambda m, to=mapping: to.get(m[0], m[0]), answer)  # type: ignore[misc]


def _pairs_of_integers(gold: str) -> set[str]:
    """Return the names an integer parameter may have: of a multiple of π or of 180°."""
    if not re.search(r"\\pi|180|360", gold):
        return set()
    return {one + other for one in _INTEGER_NAMES for other in _INTEGER_NAMES}
