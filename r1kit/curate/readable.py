"""Can people read this? Loops, broken characters, code and walls of text in the thinking.

Source: the R1 paper drops chaotic outputs from its SFT data: mixed languages (a filter of its own
here), long paragraphs and code blocks in the thinking (section 2.3.3 of its first version); its
second version adds repetition. It gives no thresholds. Those here let every solution of
GSM8K, MATH-500 and HumanEval and every document of r1kit's own world pass, with room, and no loop
(docs/curation.md).
"""

from __future__ import annotations

import zlib
from collections import Counter

import regex

from r1kit.curate.words import ngrams, words

SAME_LINE = 4
"""times the same line may stand in the thinking..."""
LINE_CHARS = 12
"""...if it has so many characters at least: braces and rules repeat rightly"""
NGRAM = 8
"""words in a row"""
REPEATED_NGRAMS = 0.4
"""share of the n-grams of a text that may have stood in it before..."""
NGRAM_WORDS = 48
"""...if it has so many words at least"""
COMPRESSION = 6.0
"""times zlib may make a text smaller: prose about 2, tables 4, loops above 10..."""
COMPRESSION_BYTES = 240
"""...if it has so many bytes at least"""
PARAGRAPH_CHARS = 4_000
"""of thinking without a line break"""

_BROKEN = regex.compile(
    r"[\p{Cc}\p{Cs}\p{Co}\p{Cn}\uFFFD\u202A-\u202E\u2066-\u2069--\n\t]", regex.VERSION1
)
"""control, surrogate, private and unassigned characters, the sign of bytes that were no text, and
what turns the writing direction round"""


def unreadable(text: str) -> tuple[str, str] | None:
    """Why a part of a completion cannot be read, and what was found; None if it can."""
    if broken := _BROKEN.search(text):
        return "broken characters", f"U+{ord(broken[0]):04X}"
    if (share := repeated_ngrams(text)) > REPEATED_NGRAMS:
        return "repeats itself", f"{share:.0%} of its {NGRAM}-grams stood before"
    if (ratio := compression(text)) > COMPRESSION:
        return "repeats itself", f"compresses {ratio:.0f} times"
    return None


def untidy(thinking: str) -> tuple[str, str] | None:
    """Why thinking, which is prose, is none; None if it is. Answers may be code and tables."""
    if line := repeated_line(thinking):
        return "repeats a line", line
    if "```" in thinking:
        return "code in the thinking", ""
    longest = max(map(len, thinking.split("\n")))
    if longest > PARAGRAPH_CHARS:
        return "wall of text", f"{longest} characters without a line break"
    return None


def repeated_line(text: str) -> str | None:
    """A line of some length that stands more than SAME_LINE times in the text."""
    lines = Counter(line.strip() for line in text.split("\n"))
    return next(
        (line for line, n in lines.items() if n > SAME_LINE and len(line) >= LINE_CHARS), None
    )


def repeated_ngrams(text: str) -> float:
    """Share of the n-grams of words that stood before in the text; 0 for a short text."""
    tokens = words(text, with_signs=True)
    if len(tokens) < NGRAM_WORDS:
        return 0.0
    found = ngrams(tokens, NGRAM)
    return 1 - len(set(found)) / len(found)


def compression(text: str) -> float:
    """How many times smaller zlib makes the text; 1 for a short one."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data)) if len(data) >= COMPRESSION_BYTES else 1.0
