"""Numbers in words as digits: "twenty-five" → 25, "three quarters" → 3/4, 열다섯 → 15, 二十五 → 25.

Only a number that is the whole text, with at most a counter or a unit behind it, is rewritten:
三 in 三角形 and "one" in "one of them" are no numbers. Source: none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

MAX_WORDS_CHARS = 80

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ENGLISH = {
    **{word: n for n, word in enumerate(_SMALL)},
    **{word: 10 * n for n, word in enumerate(_TENS, 2)},
}
_POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_PARTS = {
    **dict.fromkeys(("half", "halves"), 2),
    **dict.fromkeys(("quarter", "quarters", "fourth", "fourths"), 4),
    **{
        word + ending: n
        for n, word in enumerate(
            ["third", "-", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 3
        )
        for ending in ("", "s")
    },
}
_SIGNS = ("negative", "minus")
BASES = {
    **{word: _ENGLISH[word] for word in _SMALL[2:17]},
    **{f"base {word}": _ENGLISH[word] for word in _SMALL[2:17]},
}
"""bases in words, as in `1101_{\\text{two}}`"""

_CHINESE_DIGITS = {digit: n for n, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_CHINESE_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_CHINESE_SIGNS = {*_CHINESE_DIGITS, *_CHINESE_POWERS}
_KOREAN_DIGITS = {digit: n for n, digit in enumerate("영일이삼사오육칠팔구")}
_KOREAN_POWERS = {"십": 10, "백": 100, "천": 1000, "만": 10**4, "억": 10**8}
_NATIVE_TENS = {
    **{
        word: 10 * n
        for n, word in enumerate(
            ["열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔"], 1
        )
    },
    "스무": 20,
}
_NATIVE_ONES = {
    word: n
    for n, words in enumerate(
        ("하나 한", "둘 두", "셋 세", "넷 네", "다섯", "여섯", "일곱", "여덟", "아홉"), 1
    )
    for word in words.split()
}
_CHINESE = f"[{''.join(_CHINESE_DIGITS)}{''.join(_CHINESE_POWERS)}]"
_KOREAN = f"[{''.join(_KOREAN_DIGITS)}{''.join(_KOREAN_POWERS)}]"
_NATIVE = re.compile(f"({'|'.join(_NATIVE_TENS)})?({'|'.join(_NATIVE_ONES)})?")
_FRACTION = re.compile(f"({_CHINESE}+)分之({_CHINESE}+)|({_KOREAN}+)\\s?분의\\s?({_KOREAN}+)")
_PERCENT = re.compile(f"百分之({_CHINESE}+)")
_NEGATIVE = re.compile(f"(负?)({_CHINESE}+)")


def in_digits(text: str, is_unit: Callable[[str], bool] | None = None) -> str | None:
    """Return a text that is a number in words in digits, with its unit; None if it is not one.

    `is_unit(text)` says whether the rest of a Chinese or Korean text is a unit or a counter.
    """
    text = text.strip(" .。")
    if not text or len(text) > MAX_WORDS_CHARS:
        return None
    if text.isascii():
        return _english(text)
    return _east_asian(text, is_unit)


def fractions_in_digits(text: str) -> str:
    """Write the fractions of a Chinese or Korean text in digits: 三分之一 → 1/3, 百分之五 → 5%."""
    text = _PERCENT.sub(lambda m: m[0] if (n := _chinese(m[1])) is None else f"{n}%", text)
    return _FRACTION.sub(_as_fraction, text)


def _english(text: str) -> str | None:
    words = re.split(r"[\s-]+", text.lower())
    sign = "-" if words[0] in _SIGNS else ""
    words = words[1:] if sign else words
    for count in range(len(words), 0, -1):
        number, rest = cardinal(words[:count]), words[count:]
        if number is None:
            continue
        if rest and (part := _PARTS.get(rest[0])) is not None and number < 100:
            fraction = Fraction(number, part)
            number_text = f"{fraction.numerator}/{fraction.denominator}"
            return f"{sign}{number_text} {' '.join(rest[1:])}".strip()
        return f"{sign}{number} {' '.join(rest)}".strip()
    return None


def cardinal(words: list[str]) -> int | None:
    """Return the number of English words: `["two", "hundred", "and", "five"]` → 205."""
    total = group = 0
    last = 10**12
    for place, word in enumerate(words):
        if word == "and" and 0 < place < len(words) - 1 and words[place - 1] in _POWERS:
            continue
        if word in _POWERS:
            power = _POWERS[word]
            if power == 100:
                if not 0 < group < 100 or place == 0:
                    return None
                group *= 100
            else:
                if not group or power >= last:
                    return None
                total, group, last = total + group * power, 0, power
            continue
        value = _ENGLISH.get(word)
        tail = group % 100
        if value is None or (tail and not (tail >= 20 and tail % 10 == 0 and 0 < value < 10)):
            return None
        if group and value == 0:
            return None
        group += value
    return total + group


def _east_asian(text: str, is_unit: Callable[[str], bool] | None) -> str | None:
    compact = text.replace(" ", "")
    if compact.startswith("百分之") and set(compact[3:]) <= _CHINESE_SIGNS:
        return None if (number := _chinese(compact[3:])) is None else f"{number}%"
    if (fraction := _FRACTION.fullmatch(compact)) is not None:
        return _as_fraction(fraction)
    if (chinese := _NEGATIVE.match(compact)) is not None:
        return _with_unit(chinese[1], _chinese(chinese[2]), compact[chinese.end() :], is_unit)
    native = _NATIVE.match(compact)
    if native is not None and native[0]:
        number = _NATIVE_TENS.get(native[1] or "", 0) + _NATIVE_ONES.get(native[2] or "", 0)
        unit = compact[native.end() :]
        if not unit and native[0] in "한두세네":
            return None
        return _with_unit("", number, unit, is_unit)
    sino = re.match(f"{_KOREAN}{{2,12}}", compact)
    if sino is None:
        return None
    return _with_unit("", _korean(sino[0]), compact[sino.end() :], is_unit)


def _with_unit(
    sign: str, number: int | None, unit: str, is_unit: Callable[[str], bool] | None
) -> str | None:
    if number is None or (unit and (is_unit is None or not is_unit(unit))):
        return None
    return f"{'-' if sign else ''}{number}{unit}"


def _as_fraction(match: re.Match[str]) -> str:
    if match[1]:
        bottom, top = _chinese(match[1]), _chinese(match[2])
    else:
        bottom, top = _korean(match[3]), _korean(match[4])
    return match[0] if not bottom or top is None else f"{top}/{bottom}"


def _chinese(text: str) -> int | None:
    return _positional(text, _CHINESE_DIGITS, _CHINESE_POWERS)


def _korean(text: str) -> int | None:
    return _positional(text, _KOREAN_DIGITS, _KOREAN_POWERS)


def _positional(text: str, digits: dict[str, int], powers: dict[str, int]) -> int | None:
    """Return the number of digits and powers (二十五 is 25), or None for nonsense."""
    total = section = 0
    digit: int | None = None
    last_power = 10**12
    for character in text:
        if character in digits:
            if digit:
                return None
            digit = digits[character]
            continue
        power = powers[character]
        if power >= 10**4:
            section += digit or 0
            if not section:
                return None
            total, section, last_power = total + section * power, 0, power
        else:
            if power >= last_power:
                return None
            section, last_power = section + (1 if digit is None else digit) * power, power
        digit = None
    return total + section + (digit or 0)
