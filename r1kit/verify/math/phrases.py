"""Find the value in a sentence: "the total cost is $45", "一共有36个苹果", "So x = ±5".

A value is a whole expression, never a part of one: numbers, letters and operators that stand side
by side are one expression. A sentence that bounds its number ("at least 5"), negates it, or names
several states no value. Source: none. Departure from graders that take the last number: `√5`,
`2x + 3` and "3 out of 8" are read as they are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from r1kit.verify.math.number_words import fractions_in_digits
from r1kit.verify.math.tokens import written_numerals
from r1kit.verify.math.units import changes_value, is_measure, leading_unit
from r1kit.verify.statements.words import one_of, whole

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_GROUP = r"\s?\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_PIECE = re.compile(
    rf"(?P<space>\s+)|(?P<number>{_NUMBER})|(?P<command>\\(?:[A-Za-z]+(?:\[[^\]\n]{{0,9}}\])?(?:{_GROUP})*|[{{}}%$]))"
    r"|(?P<function>(?:sqrt|pi|sin|cos|tan|log|ln|exp)(?![A-Za-z]))"
    r"|(?P<letter>[A-Za-z](?![A-Za-z'’]))|(?P<sign>[√∛π∞½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞²³°θ%!±×·÷+*/^_=<>≤≥≠≈∪∩∈|()\[\]{}$-]|−|(?<=[0-9])\s?[:：]\s?(?=[0-9]))"
    r"|(?P<comma>[,，、](?=\s?[-−±√(\[\\0-9]))|(?P<word>[A-Za-z]+|[\u3040-\u9fff\uac00-\ud7af]+)|(?P<other>.)",
    re.DOTALL,
)
_VALUE = re.compile(r"[0-9π∞½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]|\\(?:pi|infty|sqrt|frac|emptyset)|\bpi\b")
_BOUND_BEFORE = re.compile(
    r"(?:\b"
    + one_of(
        "at least, at most, (?:more|less|fewer|greater|larger|smaller|rather|higher|lower) than",
        "over, under, above, below, (?<!add )(?<!adds )up to, nearly, almost",
        "about, around, approximately, roughly, between, within, exceeds?, not, by at least",
    )
    + "|"
    + one_of(
        "至少(?:有|是|需要?|要)?, 至多(?:有|是)?, 不少于, 不多于, 不超过, 不大于, 不小于, 不足",
        "超过, 多于, 少于, 大于, 小于, 将近, 接近, (?:大约|大概|约)(?:是|有|为)?",
        "第, 不是, 适?非, 적어도, 최소한, 약, 대략, 거의, 제",
    )
    + r")\s*[$(]?$",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    r"\s*(?:or (?:more|less|fewer|so|greater|above|below|over)\b|and (?:above|below|up)\b"
    r"|\+(?!\s?[0-9])|[^\s\d，,。.]{0,4}?\s?"
    + one_of(
        "이상, 이하, 미만, 초과, 정도, 쯤, 가량, 以上, 以下, 以内, 左右, 多(?:个|名|人), 余, 보다"
    )
    + ")",
    re.IGNORECASE,
)
_OPERATOR_BEFORE = re.compile(
    r"(?:\b"
    + one_of(
        "root of, factorial of, logarithm of, log of, half of, third of, quarter of, twice, double",
        "triple, power of, reciprocal of, inverse of, square of, cube of, sum of, product of",
        "[0-9] of(?: the| its| these)?, multiples? of, divisible by, factor of",
        "base, modulo, mod, times, plus, minus, and, or",
        "nor, (?<!come )(?<!comes )(?<!amounts )(?<!equal )(?<!adds up )(?<!add up )"
        "(?<!evaluates )(?<!simplifies )(?<!reduces )(?<!sums )(?<!leads )"
        "(?<!rounds )(?<!totals )to",
        "than, versus, vs, from, divided by",
    )
    + "|"
    + one_of(
        "平方根, 立方根, 的?倍数, 分之, 加上?, 减去?, 乘以?, 除以, 和, 或者?, 与, 及, 到, 至, 比",
        "제곱근, 루트, 더하기, 빼기, 와, 과, 또는, 혹은, 에서, 보다",
    )
    + r")\s*[$(]?$",
    re.IGNORECASE,
)
_KNOWN_BEFORE = re.compile(r"\b(?:the|these|those)$", re.IGNORECASE)
# before a number that is known already: "so the 2 cases agree"
_KNOWN_AFTER_PREPOSITION = re.compile(
    r"\b(?:for|in|on|from|among|with|over|across|after|during) (?:all )?(?:of )?"
    r"(?:the|these|those|his|her|their|its) $",
    re.IGNORECASE,
)
# before a number that belongs to a known thing: "he pays 64 dollars for the 16 glasses"
_IS_THE_ANSWER = re.compile(
    r"\s(?:is|are|was) (?:the|our|my)(?: (?:final|correct|required|desired))?"
    r" (?:answer|result|solution|value)\b",
    re.IGNORECASE,
)
_WAVERS = re.compile(
    whole(
        "not, or, nor, neither, either, maybe, perhaps, possibly, cannot, never, except, between",
        "instead, wrong, if, might, could, suppose, assume, unless, no",
    )
    + "|"
    + one_of(
        r"n't, n’t, ≠, \\ne\b, !=, 아니, 않, 또는, 혹은, 못, 만약, 라면, 없, 或, 非, 如果, 假设",
        "若, 没有, 可能, 不(?!同|等式|妨|难|重复|断|仅|管|论|计|少|多|变|足|相)",
    ),
    re.IGNORECASE,
)
_REWRITES = (
    (re.compile(r"(?:the )?(?:square root|sqrt) of (?=[0-9])|根号下?\s?|루트\s?|√\s+", re.I), "√"),
    (
        re.compile(
            r"\b(?:negative|minus) (?=[0-9])|负(?=[0-9])|(?:마이너스|음수)\s?(?=[0-9])", re.I
        ),
        "-",
    ),
    (
        re.compile(
            r"(?<=[0-9]) (?:out of (?:the |every |a total of )?|in (?:every )?)(?=[0-9])", re.I
        ),
        "/",
    ),
    (re.compile(r"([0-9]+)\s?分之\s?([0-9]+)|([0-9]+)\s?분의\s?([0-9]+)"), r"\2\4/\1\3"),
    (re.compile(r"百分之\s?([0-9.]+)"), r"\1%"),
)


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression in a sentence, with its position there."""

    text: str
    start: int
    end: int


def rewritten(text: str) -> str:
    """Return a text with words for operations as signs: 根号3 → √3, "3 out of 8" → 3/8."""
    if not text.isascii():
        text = written_numerals(fractions_in_digits(text))
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text


def expressions(text: str) -> list[Expression]:
    """Return the expressions of a text that have a value, in order."""
    parts: list[Expression] = []
    start = end = -1
    is_glued = False
    for piece in _PIECE.finditer(text):
        kind = piece.lastgroup
        if kind == "space":
            continue
        if kind in ("word", "other"):
            is_suffix = kind == "word" and piece.start() == end and piece[0].isascii()
            _close(parts, text, start, -1 if is_suffix and not is_measure(piece[0]) else end)
            start, is_glued = -1, kind == "word" and piece[0].isascii()
            glued_end = piece.end()
            continue
        if start < 0:
            if is_glued and piece.start() == glued_end and kind == "number":
                continue  # the 2 of H2O
            start = piece.start()
        end = piece.end()
    _close(parts, text, start, end)
    return parts


def _close(parts: list[Expression], text: str, start: int, end: int) -> None:
    """Append the expression from `start` to `end`, without loose letters and marks at its ends."""
    if start < 0 or end < 0:
        return
    content = text[start:end]
    trimmed = _without_loose_ends(content)
    if trimmed and _VALUE.search(trimmed):
        position = start + content.index(trimmed)
        parts.append(Expression(trimmed, position, position + len(trimmed)))


def _without_loose_ends(text: str) -> str:
    """Strip separators and brackets without partner: `a 5`, `(5`, `: 5 =` → `5`."""
    text = text.strip()
    while True:
        before = text
        text = text.strip(",，、=:：<>≈*·/ \t\n").rstrip("+-−_^($").lstrip("!)%_^|")
        text = re.sub(r"^[A-Za-z]\s+(?=[0-9\\√$(])|(?<=[0-9)}])\s+[A-Za-z]$", "", text)
        for opening, closing in ("()", "[]", "{}"):
            if text.count(opening) > text.count(closing) and text.startswith(opening):
                text = text[1:]
            if text.count(closing) > text.count(opening) and text.endswith(closing):
                text = text[:-1]
        if text == before:
            return text


def value_in_sentence(sentence: str) -> str | None:
    """Return the expression that a sentence states, with its unit; None if it states none."""
    text = rewritten(sentence)
    parts = expressions(text)
    if not parts or _WAVERS.search(text):
        return None
    while len(parts) > 1 and _KNOWN_AFTER_PREPOSITION.search(text[: parts[-1].start]):
        parts.pop()
    last = parts[-1]
    before, after = text[: last.start].rstrip(), text[last.end :]
    if changes_what_follows(before) or _KNOWN_BEFORE.search(before) or _BOUND_AFTER.match(after):
        return None
    if len(parts) > 1 and not re.search(r"\w", text[parts[-2].end : last.start]):
        return None
    return with_unit(last.text, after)


def changes_what_follows(before: str) -> bool:
    """Return True if the last words bound the next value or compute with it: "at least"."""
    return bool(_BOUND_BEFORE.search(before) or _OPERATOR_BEFORE.search(before))


def with_unit(value: str, after: str) -> str:
    """Return a value with the unit that follows, or with a word that changes it ("million")."""
    sides = [side.strip() for side in value.split("=")]
    if len(sides) > 1 and not re.search(r"[A-Za-z]", "".join(sides[:-1]).replace("\\", "")):
        value = sides[-1]
    if (
        power := re.match(
            r"\s?[百千万萬亿億兆천백만억조]+(?![克米瓦卡])\s?[가-힣一-鿿]{0,3}", after
        )
    ) is not None:
        return f"{value}{power[0]}"
    word = re.match(r"\s?([A-Za-z²³]+|\\text\{[^{}]*\})", after)
    if word and changes_value(word[1]) and not _IS_THE_ANSWER.match(after):
        return f"{value} {word[1]}"
    unit = leading_unit(after)
    return f"{value} {unit}" if unit else value
