"""Normalised words of a text, for finding duplicates and overlaps.

Normalisation: lower case, Unicode compatibility forms unified (NFKC), no LaTeX spacing or font
commands, no punctuation, no thousands separators. A word is a run of letters, a number, or ONE Han
or kana character, as these are written without spaces; Hangul has spaces and is split into runs.
Arithmetic signs are words on request: short questions may differ in nothing else.
"""

from __future__ import annotations

import unicodedata

import regex

_THOUSANDS = regex.compile(r"(?<=\d)(?:\\,|\{,\}|\\!,|,)(?=\d{3}(?!\d))")
_FORMATTING = regex.compile(
    r"\\(?:[,;:!> ]"
    r"|(?:begin|end)\{[a-z]*\*?\}"
    r"|[hv]space\*?\{[^{}]*\}"
    r"|(?:q?quad|left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|limits|operatorname|mbox"
    r"|(?:math|text)(?:rm|bf|it|sf|tt|bb|cal|frak|normal)?)(?![A-Za-z]))"
)
_SPELLINGS = (
    (regex.compile(r"\\[dtc]frac(?![A-Za-z])"), r" \\frac "),
    (regex.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])|[×·⋅∙]"), " * "),
    (regex.compile(r"\\div(?![A-Za-z])|÷"), " / "),
    (regex.compile(r"\\leq?(?![A-Za-z])|<="), " ≤ "),
    (regex.compile(r"\\geq?(?![A-Za-z])|>="), " ≥ "),
    (regex.compile(r"\\neq?(?![A-Za-z])|!="), " ≠ "),
    (regex.compile(r"−"), "-"),
)
_ONE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_WORD = _ONE + r"|\d++(?:\.\d++)?|\p{Hangul}++|[[\p{L}\p{M}]--[" + _ONE + r"\p{Hangul}]]++"
_WORDS = regex.compile(_WORD, regex.VERSION1)
_WORDS_AND_SIGNS = regex.compile(_WORD + r"|[-+*/=<>≤≥≠%]|(?<=[\d)])!", regex.VERSION1)


def words(text: str, with_signs: bool = False) -> list[str]:
    """Split a text: `words("Find $\\\\dfrac{1,000}{x}$!")` is `["find", "frac", "1000", "x"]`."""
    text = unicodedata.normalize("NFKC", _THOUSANDS.sub("", text))
    text = _FORMATTING.sub(" ", text)
    for spelling, replacement in _SPELLINGS:
        text = spelling.sub(replacement, text)
    matches: list[str] = (_WORDS_AND_SIGNS if with_signs else _WORDS).findall(text.lower())
    return matches


def ngrams(tokens: list[str], n: int) -> list[tuple[str, ...]]:
    """Return all n-grams of consecutive words; none if there are fewer than n words."""
    return [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]
