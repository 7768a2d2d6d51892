"""Rules for answers in general conversation, each decided exactly.

A rule is a name with a value, so that a problem carries its rules as plain data: `{"n_lines": 3,
"lines_begin": "a"}`. Qualities that no rule can decide (is it kind? is it well written? does a
refusal go on to help after all?) are left to preference pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import regex

from r1kit.verify.language import language_share

MAX_CHARS = 4_000
"""length above which an answer fails all rules"""
OWN_LANGUAGE = 0.9
"""minimum share of an answer's words in the question's language"""

_WORD = regex.compile(r"\p{Han}|[[\p{L}\p{M}\p{N}'’]--\p{Han}]++", regex.VERSION1)
_ITEM = regex.compile(r"[-*•]\s*(\S.*)")


def broken_rule(answer: str, rules: Mapping[str, Any], language: str) -> str | None:
    """Describe the first rule that the answer breaks; return None if it satisfies all.

    Every answer must also be non-empty and in the question's language.
    """
    if not answer.strip() or len(answer) > MAX_CHARS:
        return "empty" if not answer.strip() else "too long"
    for name, value in rules.items():
        if not RULES[name](answer, value):
            return f"{name} {value!r}"
    share = language_share(answer, language)
    return None if share is None or share >= OWN_LANGUAGE else f"not in {language}"


def count_words(text: str) -> int:
    """Count words between spaces and punctuation, or characters of Chinese."""
    return len(_WORD.findall(text))


def contains_phrase(answer: str, phrase: str) -> bool:
    """Return True if an answer contains a phrase as whole words.

    Korean endings may follow a word; Chinese has no word boundaries. Case does not matter.
    """
    start, end = r"(?<![\p{Latin}\p{Hangul}\d])", r"(?![\p{Latin}\d])"
    if regex.match(r"\p{Han}", phrase):
        start = ""
    return regex.search(start + regex.escape(phrase) + end, answer, regex.IGNORECASE) is not None


def lines_of(answer: str) -> list[str]:
    """Return the non-blank lines, stripped."""
    return [line.strip() for line in answer.splitlines() if line.strip()]


def _items_are(answer: str, allowed: Sequence[str]) -> bool:
    """Return True if every line is a dash and one of the allowed items, without duplicates."""
    matches = [_ITEM.fullmatch(line) for line in lines_of(answer)]
    items = [match[1].strip().lower() for match in matches if match]
    return len(items) == len(matches) == len(set(items)) and set(items) <= set(allowed)


RULES: dict[str, Callable[[str, Any], bool]] = {
    "says": lambda answer, phrases: all(contains_phrase(answer, phrase) for phrase in phrases),
    "avoids": lambda answer, phrases: (
        not any(contains_phrase(answer, phrase) for phrase in phrases)
    ),
    "n_words": lambda answer, n: count_words(answer) == n,
    "max_words": lambda answer, n: count_words(answer) <= n,
    "n_lines": lambda answer, n: len(lines_of(answer)) == n,
    "lines_begin": lambda answer, letter: all(
        line.lower().startswith(letter) for line in lines_of(answer)
    ),
    "items": _items_are,
}
"""name → predicate (answer, value)"""
