"""Language consistency: the share of words in a text that are in the language of the question.

Source: the language consistency reward of the R1 paper (section 2.3.2 of its first version), the
proportion of target language words in the thinking. Departures: the language of a word is its
script, so English stands for every language written in Latin letters, and a Latin name in Korean
text is a foreign word; tokens that belong to no language are not counted.

A word is a run of two or more Latin letters, a run of Hangul, or ONE Han character (Chinese writes
no spaces; a run would count a whole sentence as one word). Runs of any other script are words of
none of the three languages.

These belong to no language: numbers, single Latin letters, Greek letters; formulas between `$` or
in `\\(` and `\\[`, LaTeX commands, the content of a `\\boxed{}`; code in backticks, names that
contain a digit or an underscore (`x1`, `5cm`, `max_tokens`), called functions (`sin(x)`); URLs. A
formula or code span must be closed: an opening delimiter alone excludes nothing. Code without
backticks is counted as words.
"""

from __future__ import annotations

import regex

_WORD = regex.compile(
    # No alternative matches past the next opening delimiter: the search stays linear on any text.
    r"```(?:[^`]|`(?!``))*+```"
    r"|`[^`\n]++`"
    r"|\$\$[^$]++\$\$"
    r"|\$(?=\S)[^$\n]++(?<=\S)\$(?!\d)"  # not the prices in "$5 here and $7 there"
    r"|\\\((?:[^\\]|\\[^()\[\]])*+\\\)"
    r"|\\\[(?:[^\\]|\\[^()\[\]])*+\\\]"
    r"|\\boxed\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\}"
    r"|\\(?:begin|end)\{[a-z]*+\*?\}"
    r"|\\[A-Za-z]++"
    r"|(?:https?://|www\.)[!-~]++"
    r"|(?<![\p{Latin}\d_])(?=\p{Latin}*+[\d_])[\p{Latin}\d_]++"
    r"|(?P<zh>\p{Han})"
    r"|(?P<ko>\p{Hangul}++)"
    r"|\p{Latin}{2,}+(?=\()"
    r"|(?P<en>\p{Latin}{2,}+)"
    r"|\p{Latin}"
    r"|(?P<other>[\p{L}--\p{Han}--\p{Hangul}--\p{Latin}--\p{Common}--\p{Greek}]++)",
    regex.VERSION1,
)
WITHOUT_WORDS = 1.0
"""language consistency of texts without words: nothing in them is foreign"""
LANGUAGES = ("en", "ko", "zh")


def language_share(text: str, language: str) -> float | None:
    """Return the share of the words of `text` that are in `language` ("en", "ko" or "zh"), 0 to 1.

    None if the text has no words, as defined above.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language is one of {', '.join(LANGUAGES)}, not {language!r}")
    words = [match.lastgroup for match in _WORD.finditer(text) if match.lastgroup]
    return words.count(language) / len(words) if words else None


def language_of(text: str) -> str:
    """Return the most frequent of the three languages in `text`; "en" if it has none of them."""
    return max(LANGUAGES, key=lambda language: language_share(text, language) or 0.0)
