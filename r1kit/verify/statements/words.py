"""Word lists as patterns.

A list is a string whose entries stand between commas. An entry is a word, or a pattern such as
`picks?`, so that the lists can be read and extended without reading regular expressions.
"""

from __future__ import annotations

import re

_SEPARATOR = re.compile(r",\s+")


def one_of(*lists: str) -> str:
    """Return a pattern for one entry of the lists: `one_of("是, 为")` → `(?:是|为)`."""
    entries = [entry for words in lists for entry in _SEPARATOR.split(words.strip()) if entry]
    return f"(?:{'|'.join(entries)})"


def whole(*lists: str) -> str:
    """Return a pattern for one entry as a whole word: `whole("or, and")` → `\\b(?:or|and)\\b`."""
    return rf"\b{one_of(*lists)}\b"
