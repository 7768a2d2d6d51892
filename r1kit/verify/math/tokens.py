"""Normalize and tokenize math answers written in LaTeX, plain text or Unicode.

`clean` maps typographic variants to the same text; two answers with the same cleaned text are the
same answer. `tokenize` makes one pass over that text and raises UnsureError at unknown input.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from r1kit.verify.answer import SAME_CHARACTER
from r1kit.verify.math.notation import usual
from r1kit.verify.math.number_words import fractions_in_digits
from r1kit.verify.math.refusals import OversizeError, UnsureError
from r1kit.verify.math.rewriting import RewriteRules

MAX_CHARS = 2000
"""maximum length of an answer"""
MAX_CACHED_CHARS = 200
MAX_TOKENS = 600
MAX_DIGITS = 400
"""maximum number of digits of one number"""

TokenKind = Literal["number", "name", "word", "text", "command", "mark", "unit"]


@dataclass(frozen=True, slots=True)
class MathToken:
    """A token: `MathToken("number", "12.5")`, `MathToken("text", "square inches")`."""

    kind: TokenKind
    text: str
    spaced: bool = False
    """True if white space precedes it"""


PLAIN_NUMBER = re.compile(r"-?[0-9]+(?:[.,][0-9]+)*")
"""most answers: nothing of it is to be read or rewritten"""
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2069"
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_UNICODE = {
    ord(character): replacement
    for characters, replacement in (
        ("×⋅·∙", "*"),
        ("÷", "/"),
        ("π", "\\pi "),
        ("√", "\\sqrt "),
        ("°", "^\\circ "),
        ("∞", "\\infty "),
        ("∪", "\\cup "),
        ("∈", "\\in "),
        ("±", "\\pm "),
        ("≤", "\\le "),
        ("≥", "\\ge "),
        ("≠", "\\ne "),
        ("…", "\\ldots "),
        ("≈≒", "\\approx "),
        ("⟨〈", "\\langle "),
        ("⟩〉", "\\rangle "),
        ("θ", "\\theta "),
        ("\xa0\u2009\u202f", " "),
        ("、", ","),
    )
    for character in characters
}
_FRACTIONS = re.compile("([0-9]?)([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒])")

_ROMAN = (
    "mbox|textbf|textrm|textit|textsf|texttt|mathrm|mathbf|mathit|mathsf|mathtt|operatorname|text"
)
_REWRITES = RewriteRules(
    (
        ("", r"(?<=[0-9])(?:\\[,!]|,\\!\s*|\{,\})(?=[0-9]{3}(?![0-9]))", ""),
        (",", r",\\!|\{,\}", ","),
        ("\\", r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|limits)(?![A-Za-z])", ""),
        ("", r"(?<!\\)\\[,;:! ]|~|\\q?quad(?![A-Za-z])", " "),
        ("frac", r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        ("bb", r"\\(?:mathbb|Bbb)\s*(?:\{\s*([A-Z])\s*\}|([A-Z]))", r"\\mathbb{\1\2}"),
        ("color", r"\\(?:textcolor|colorbox)\s*\{[A-Za-z!0-9]{1,20}\}", ""),
        ("\\color", r"\\color\s*(?:\{[A-Za-z!0-9]{1,20}\}|[a-z]{1,12})", ""),
        (
            "\\",
            r"\\(?:mathrm|mathbf|mathit|mathsf|text|textbf|textit|textrm|bm|boldsymbol)\s*\{\s*([eid])\s*\}",
            r" \1",
        ),
        ("\\", r"\\(?:mathbf|mathit|bm|boldsymbol|mathsf|mathcal)\s*\{\s*([A-Za-z])\s*\}", r" \1"),
        ("\\", rf"\\(?:{_ROMAN})\s*\{{", r"\\text{"),
        ("\\text", r"\\text\{\s*([-+]?[0-9][0-9.,/]*)\s*\}", r" \1 "),
        (
            "\\text",
            r"\\text\{\s*([-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+|/[0-9]+)?)\s?([A-Za-z°%][^{}]*)\}",
            r" \1 \\text{\2}",
        ),
        ("\\", r"\\(?:boldsymbol|bm|underline|ensuremath)\s*(?=\{)", ""),
        ("\\", r"\\(?:lvert|rvert|vert|mid)(?![A-Za-z])", "|"),
        ("\\in", r"(?<=\\\{)\s*([A-Za-z])\s*\\in\s*\\mathbb\{R\}\s*(?=[|:])", r" \1 "),
        ("\\varnothing", r"\\varnothing(?![A-Za-z])", r"\\emptyset"),
        ("\\langle", r"\\(?:langle)(?![A-Za-z])", "("),
        ("\\rangle", r"\\(?:rangle)(?![A-Za-z])", ")"),
        (",\\!", r"(?<=[0-9]),\\!\s*(?=[0-9])", ""),
        ("\\circ", r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))", r"\\degree "),
        ("\\frac", r"\\frac\s*([0-9])", r"\\frac{\1}"),
        ("\\frac", r"(\\frac\s*\{[^{}]{0,200}\})\s*([0-9])", r"\1{\2}"),
        ("**", r"\*\*", "^"),
        ("/", r"(?<=[0-9]) ([kc]?m|mi|ft) ?/ ?(s|sec|h|hr|min)(?![A-Za-z])", r"\\text{\1/\2}"),
        ("\\", r"\\(?:cdot|times|ast)(?![A-Za-z])", "*"),
        ("\\div", r"\\div(?![A-Za-z])", "/"),
        ("\\leq", r"\\(?:leq)(?![A-Za-z])", r"\\le "),
        ("\\geq", r"\\(?:geq)(?![A-Za-z])", r"\\ge "),
        ("", r"\\(?:dots|cdots|ldots)(?![A-Za-z])|\.\.\.", r"\\ldots "),
        ("(", r"(?<=[0-9}]) ?\(([a-z][a-z -]{2,40})\)\s*$", r" \\text{\1}"),
        ("", r"\s+", " "),
    ),
)
_GOING_ON = re.compile(r"([0-9]{0,40}\.)([0-9]{2,40})\s*\\ldots(?!\s*[0-9,])")
_PERIOD = re.compile(r"([0-9]*?)([0-8]|[0-9]*[0-8][0-9]*)\2+")
_REPEATING = re.compile(r"([0-9]{1,40})\.([0-9]{0,40})\\overline\s*\{([0-9]{1,40})\}")
_POWERS_OF_TEN = {
    "百": 2,
    "千": 3,
    "万": 4,
    "萬": 4,
    "亿": 8,
    "億": 8,
    "兆": 12,
    "十": 1,
    "십": 1,
    "백": 2,
    "천": 3,
    "만": 4,
    "억": 8,
    "조": 12,
}
_POWERS = "".join(_POWERS_OF_TEN)
_CJK_TEXT = re.compile(
    rf"\\(?:{_ROMAN})\s?\{{([^{{}}A-Za-z\\]*[\u3040-\u9fff\uac00-\ud7af][^{{}}A-Za-z\\]*)\}}"
)
_NUMERAL = re.compile(
    rf"(?:(?<![0-9.,])[0-9][0-9,.]*\s?[{_POWERS}]+(?!克|米|瓦|卡|分)\s?)+"
    r"(?:(?:(?<=\S)|(?<=[만억万亿] ))[0-9][0-9,]*(?![0-9.,]))?"
)
_WORDS = (
    (re.compile(r"根号下?|루트"), r"\\sqrt "),
    (re.compile(r"百分之\s?([0-9.]+)"), r"\1%"),
    (re.compile(r"([0-9]+)\s?(?:分之|분의)\s?([0-9]+)"), r"\\frac{\2}{\1}"),
    (re.compile(r"负(?=[0-9])"), "-"),
    (re.compile(r"(?:约等于|大约是)(?=\s?[0-9])"), r"\\approx "),
    (re.compile(r"π|派(?=$)"), r"\\pi "),
    (re.compile(r"或者?|和|与|및|또는|혹은|(?<=[0-9}\s)])[와과](?=\s)|以及|그리고"), " , "),
)
_WRAPPINGS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"), ("**", "**"), ("`", "`"))

_THOUSANDS = r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?"
_PLAIN = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4}(?![0-9.]))?"
_TOKEN = re.compile(
    rf"(?P<space>\s*)(?:(?P<thousands>{_THOUSANDS})|(?P<number>{_PLAIN})"
    r"|\\mathbb\{(?P<blackboard>[A-Z])\}|\\text\{(?P<text>[^{}]*)\}|\\(?P<command>[A-Za-z]+)|(?P<word>[A-Za-z]+)"
    r"|(?P<currency>[£€₩¥₹])"
    r"|(?P<cjk>[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)"
    r"|(?P<mark>\\\\|\\[{}%$|]|[-+*/^_=!,;:(){}\[\]|<>%$&']))"
)
"""Inside brackets a comma is always a separator, so `tokenize` splits `thousands` there."""
_COMMANDS = {
    **{word: word for word in ("sqrt", "pi", "sin", "cos", "tan", "cot", "sec", "csc")},
    **{word: word for word in ("log", "ln", "exp", "arcsin", "arccos", "arctan", "infty")},
    **dict.fromkeys(("infinity", "inf"), "infty"),
    "union": "cup",
    "theta": "theta",
}
_SEPARATORS = {"and", "or"}


def clean(text: str) -> str:
    """Normalize typographic variants; strip a wrapping `$` or `**` and a final period."""
    if (text.isalnum() and text.isascii()) or PLAIN_NUMBER.fullmatch(text):
        return text
    return _cached(text) if len(text) <= MAX_CACHED_CHARS else _clean(text)


def _clean(text: str) -> str:
    text = text.translate(SAME_CHARACTER).strip(_INVISIBLE + " \t\r\n")
    text = usual(text)
    if not text.isascii():
        text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: f"^{{{m[0].translate(_SUPERSCRIPTS)}}}", text)
        text = in_ascii(text)
    text = text.translate(_UNICODE)
    for _ in range(4):
        wrapped, text = text, _unwrapped(text)
        if text == wrapped:
            break
    if "$" in text:
        text = _without_dollars(text)
    text = _REWRITES.rewritten(text)
    if "\\ldots" in text:
        text = _GOING_ON.sub(_as_repeating, text)
    if "\\overline" in text:
        text = _REPEATING.sub(_as_fraction, text)
    return text.strip()


_cached = lru_cache(maxsize=4096)(_clean)  # a group's completions share the gold answer


def _without_dollars(text: str) -> str:
    """Remove the dollars around formulas within words: `$\\max$ at $x=7$` → `\\max at x=7`."""
    parts = re.split(r"(?<!\\)\$", text)
    formulas = parts[1::2]
    is_paired = len(parts) % 2 == 1 and len(parts) > 1
    if not is_paired or any(part != part.strip() or not part for part in formulas):
        return text
    return "".join(part if n % 2 == 0 else f"{part} " for n, part in enumerate(parts)).strip()


def in_ascii(text: str) -> str:
    """Write Unicode fractions and Chinese and Korean numerals as numbers: `5万` → `(5*10000)`."""
    text = _FRACTIONS.sub(_fraction, _CJK_TEXT.sub(r" \1 ", text))
    if "分" in text or "분의" in text:
        text = fractions_in_digits(text)
    for pattern, replacement in _WORDS:
        text = pattern.sub(replacement, text)
    return _NUMERAL.sub(_numeral, text)


def written_numerals(text: str) -> str:
    """Write the numerals of a sentence as plain numbers: 1만 2천 → 12000; not 千 in 5千克."""
    return _NUMERAL.sub(_plain_numeral, text)


def _plain_numeral(match: re.Match[str]) -> str:
    product = _numeral(match)
    if product == match[0] or "." in product:
        return match[0]
    terms = [math.prod(map(int, term.split("*"))) for term in product[1:-1].split("+")]
    return f"{sum(terms)}{' ' if match[0].endswith(' ') else ''}"


def _fraction(match: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", match[2]).partition("\u2044")
    return f"{match[1]}\\frac{{{top}}}{{{bottom}}}"


def _numeral(match: re.Match[str]) -> str:
    """Add the parts of a numeral: `3만 5천` is 3 * 10000 + 5 * 1000."""
    parts = re.findall(rf"([0-9][0-9,.]*)\s?([{_POWERS}]*)", match[0])
    powers = [math.prod(10 ** _POWERS_OF_TEN[char] for char in word) for _, word in parts]
    if any(high <= low for high, low in itertools.pairwise(powers)):
        return match[0]
    terms = [f"{n.replace(',', '')}*{power}" for (n, _), power in zip(parts, powers, strict=True)]
    return f"({'+'.join(terms)})"


def tokenize(text: str) -> list[MathToken]:
    """Return the tokens of a cleaned text. Raises UnsureError or OversizeError."""
    if len(text) > MAX_CHARS:
        raise OversizeError(f"longer than {MAX_CHARS} characters")
    tokens: list[MathToken] = []
    position, depth, end = 0, 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise UnsureError(f"cannot read {text[position : position + 20]!r}")
        position = match.end()
        if match["thousands"] and depth:
            position = match.start("thousands") + match["thousands"].index(",")
            tokens.append(MathToken("number", text[match.start("thousands") : position]))
            continue
        depth += _depth_change(match["mark"])
        tokens.append(_token(match))
        if len(tokens) > MAX_TOKENS:
            raise OversizeError(f"more than {MAX_TOKENS} tokens")
    return tokens


def _as_fraction(decimal: re.Match[str]) -> str:
    """Convert a repeating decimal to a fraction: `0.1\\overline{6}` is (16 - 1) / 90."""
    prefix, period = decimal[1] + decimal[2], decimal[3]
    top = int(prefix + period) - int(prefix)
    bottom = 10 ** len(decimal[2]) * (10 ** len(period) - 1)
    return f"\\frac{{{top}}}{{{bottom}}}"


def _as_repeating(decimal: re.Match[str]) -> str:
    """Write `0.1666\\ldots` as `0.1\\overline{6}`; 4.999… stays, as does one without a period."""
    period = _PERIOD.fullmatch(decimal[2])
    if period is None or (len(period[2]) == 1 and len(decimal[2]) - len(period[1]) < 2):
        return decimal[0]
    return f"{decimal[1]}{period[1]}\\overline{{{period[2]}}}"


def _depth_change(mark: str | None) -> int:
    if mark in ("(", "[", "\\{"):
        return 1
    return -1 if mark in (")", "]", "\\}") else 0


def _token(match: re.Match[str]) -> MathToken:
    spaced = bool(match["space"])
    number = match["thousands"] or match["number"]
    if number:
        if len(number) > MAX_DIGITS:
            raise OversizeError(f"a number of more than {MAX_DIGITS} digits")
        return MathToken("number", number.replace(",", ""), spaced)
    if match["text"] is not None:
        return _text_token(match["text"], spaced)
    if match["command"]:
        kind: TokenKind = "unit" if match["command"] == "degree" else "command"
        return MathToken(kind, match["command"], spaced)
    if match["blackboard"]:
        return MathToken("command", f"mathbb{match['blackboard']}", spaced)
    if match["currency"]:
        return MathToken("mark", match["currency"], spaced)
    if match["cjk"]:
        return MathToken("text", match["cjk"], spaced)
    if match["word"]:
        return _word_token(match["word"], spaced)
    return MathToken("mark", {"\\%": "%"}.get(match["mark"], match["mark"]), spaced)


def _text_token(content: str, spaced: bool) -> MathToken:
    """Return the token for `\\text{...}`: words, or a separator for "and" and "or"."""
    content = " ".join(content.split())
    if content.strip(", ") in _SEPARATORS:
        return MathToken("mark", ",", True)
    content = content.removesuffix(" and").removeprefix("and ").strip(", ")
    return MathToken("text", content, spaced)


def _word_token(word: str, spaced: bool) -> MathToken:
    lower = word.lower()
    if lower in _SEPARATORS:
        return MathToken("mark", ",", True)
    if lower in _COMMANDS:
        return MathToken("command", _COMMANDS[lower], spaced)
    return MathToken("name" if len(word) == 1 else "word", word, spaced)


def _unwrapped(text: str) -> str:
    text = text.strip()
    if text[-1:] in (".", "。", ",", ";") and not text.endswith(("..", "\\,", "\\;")):
        text = text[:-1].rstrip()
    for opening, closing in _WRAPPINGS:
        inner = text[len(opening) : -len(closing)]
        is_wrapped = text.startswith(opening) and text.endswith(closing)
        if is_wrapped and len(text) > len(opening + closing) and opening not in inner:
            return inner.strip()
    return text
