"""How much of a text is in the language of the question.

Source: the language consistency reward of the R1 paper (section 2.3.2 of its first version), the
proportion of target language words in the thinking. Departures: words are told apart by script,
so English stands for every language written in Latin letters, and a Latin name in Korean text is a
foreign word; what has no language is not counted at all.

A word is a run of two or more Latin letters, a run of Hangul, or ONE Han character (Chinese writes
no spaces; a run would count a whole sentence as one word). Runs of any other script are words of
none of the three languages.

No language have: numbers, single Latin letters, Greek letters; formulas between `$` or in `\\(` and
`\\[`, LaTeX commands, what stands in a `\\boxed{}`; code in backticks, names with a digit or an
underscore in them (`x1`, `5cm`, `max_tokens`), functions called (`sin(x)`); URLs. Only what is
closed counts as formula or code: an opening mark alone takes nothing away. Code without marks
looks like words.
"""

from __future__ import annotations

import regex

_WORD = regex.compile(
    # No body below can run over the next opening mark: the search stays linear on hostile text.
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
LANGUAGES = ("en", "ko", "zh")


def language_share(text: str, language: str) -> float | None:
    """Share of the words of `text` that are in `language` ("en", "ko" or "zh"), 0 to 1.

    None if no word of the text has a language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language is one of {', '.join(LANGUAGES)}, not {language!r}")
    words = [match.lastgroup for match in _WORD.finditer(text) if match.lastgroup]
    return words.count(language) / len(words) if words else None


def language_of(text: str) -> str:
    """The language most words of `text` are in; "en" if none has one."""
    return max(LANGUAGES, key=lambda language: language_share(text, language) or 0.0)
