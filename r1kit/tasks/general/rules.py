"""Rules an answer in general conversation must keep, each decided exactly.

A rule is a name with a value, so that a problem carries its rules as plain data: `{"n_lines": 3,
"lines_begin": "a"}`. What no rule can decide (is it kind? is it well written? does a refusal go on
to help after all?) is not asked here; that is what preference pairs are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import regex

from r1kit.verify.language import language_share

MAX_CHARS = 4_000
"""A longer answer keeps no rule."""
OWN_LANGUAGE = 0.9
"""least share of the words of an answer in the question's language"""

_WORD = regex.compile(r"\p{Han}|[[\p{L}\p{M}\p{N}'’]--\p{Han}]++", regex.VERSION1)
_ITEM = regex.compile(r"[-*•]\s*(\S.*)")


def broken(answer: str, rules: Mapping[str, Any], language: str) -> str | None:
    """The first rule the answer breaks, in words; None if it keeps all of them.

    Every answer must say something, in the question's language.
    """
    if not answer.strip() or len(answer) > MAX_CHARS:
        return "empty" if not answer.strip() else "too long"
    for name, value in rules.items():
        if not RULES[name](answer, value):
            return f"{name} {value!r}"
    share = language_share(answer, language)
    return None if share is None or share >= OWN_LANGUAGE else f"not in {language}"


def count_words(text: str) -> int:
    """Words between spaces and punctuation; of Chinese, characters."""
    return len(_WORD.findall(text))


def says(answer: str, phrase: str) -> bool:
    """Whether a phrase stands in an answer, as words of their own.

    Korean endings may follow a word; Chinese has no bounds. Letter case does not matter.
    """
    before, after = r"(?<![\p{Latin}\p{Hangul}\d])", r"(?![\p{Latin}\d])"
    if regex.match(r"\p{Han}", phrase):
        before = ""
    return regex.search(before + regex.escape(phrase) + after, answer, regex.IGNORECASE) is not None


def lines_of(answer: str) -> list[str]:
    """The lines that are not blank, without the spaces around them."""
    return [line.strip() for line in answer.splitlines() if line.strip()]


def _items_are(answer: str, allowed: Sequence[str]) -> bool:
    """Every line is a dash and one of the allowed items, and none comes twice."""
    found = [_ITEM.fullmatch(line) for line in lines_of(answer)]
    items = [match[1].strip().lower() for match in found if match]
    return len(items) == len(found) == len(set(items)) and set(items) <= set(allowed)


RULES: dict[str, Callable[[str, Any], bool]] = {
    "says": lambda answer, phrases: all(says(answer, phrase) for phrase in phrases),
    "avoids": lambda answer, phrases: not any(says(answer, phrase) for phrase in phrases),
    "n_words": lambda answer, n: count_words(answer) == n,
    "max_words": lambda answer, n: count_words(answer) <= n,
    "n_lines": lambda answer, n: len(lines_of(answer)) == n,
    "lines_begin": lambda answer, letter: all(
        line.lower().startswith(letter) for line in lines_of(answer)
    ),
    "items": _items_are,
}
"""name → does the answer keep it?"""
