"""Readability checks: loops, broken characters, code and walls of text in the thinking.

Source: the R1 paper drops chaotic outputs from its SFT data: mixed languages (a separate filter
here), long paragraphs and code blocks in the thinking (section 2.3.3 of its first version); its
second version adds repetition. It gives no thresholds. Those here pass every solution of GSM8K,
MATH-500 and HumanEval and every document of r1kit's own world, with a margin, and no loop
(docs/curation.md).
"""

from __future__ import annotations

import zlib
from collections import Counter

import regex

from r1kit.curate.words import ngrams, words

SAME_LINE = 4
"""maximum number of times a line may occur in the thinking..."""
LINE_CHARS = 12
"""...if it has at least this many characters: braces and rules may repeat"""
NGRAM = 8
"""words per n-gram"""
REPEATED_NGRAMS = 0.4
"""maximum share of a text's n-grams that occur earlier in it..."""
NGRAM_WORDS = 48
"""...if it has at least this many words"""
COMPRESSION = 6.0
"""maximum zlib compression ratio of a text: prose about 2, tables 4, loops above 10..."""
COMPRESSION_BYTES = 240
"""...if it has at least this many bytes"""
PARAGRAPH_CHARS = 4_000
"""maximum length of a line of thinking, in characters"""

_BROKEN = regex.compile(
    r"[\p{Cc}\p{Cs}\p{Co}\p{Cn}\uFFFD\u202A-\u202E\u2066-\u2069--\n\t]", regex.VERSION1
)
"""control, surrogate, private-use and unassigned characters, the replacement character of bytes
that did not decode, and characters that change the writing direction"""


def unreadable(text: str) -> tuple[str, str] | None:
    """Return why a part of a completion is unreadable, and the finding; None if it is readable."""
    if broken := _BROKEN.search(text):
        return "broken characters", f"U+{ord(broken[0]):04X}"
    if (share := repeated_ngrams(text)) > REPEATED_NGRAMS:
        return "repeats itself", f"{share:.0%} of its {NGRAM}-grams stood before"
    if (ratio := compression(text)) > COMPRESSION:
        return "repeats itself", f"compresses {ratio:.0f} times"
    return None


def untidy(thinking: str) -> tuple[str, str] | None:
    """Return why thinking is not prose, and the finding, or None. Answers may be code or tables."""
    if line := repeated_line(thinking):
        return "repeats a line", line
    if "```" in thinking:
        return "code in the thinking", ""
    longest = max(map(len, thinking.split("\n")))
    if longest > PARAGRAPH_CHARS:
        return "wall of text", f"{longest} characters without a line break"
    return None


def repeated_line(text: str) -> str | None:
    """Return a line of at least LINE_CHARS that occurs more than SAME_LINE times, or None."""
    lines = Counter(line.strip() for line in text.split("\n"))
    return next(
        (line for line, n in lines.items() if n > SAME_LINE and len(line) >= LINE_CHARS), None
    )


def repeated_ngrams(text: str) -> float:
    """Return the share of word n-grams that occur earlier in the text; 0 for a short text."""
    tokens = words(text, with_signs=True)
    if len(tokens) < NGRAM_WORDS:
        return 0.0
    grams = ngrams(tokens, NGRAM)
    return 1 - len(set(grams)) / len(grams)


def compression(text: str) -> float:
    """Return the zlib compression ratio of the text; 1 for a short text."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data)) if len(data) >= COMPRESSION_BYTES else 1.0
