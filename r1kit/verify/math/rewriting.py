"""Rules that rewrite a text one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterable


class RewriteRules:
    """Substitutions in their order: `RewriteRules([("℃", "℃", "°C")])`."""

    def __init__(self, rules: Iterable[tuple[str, str, str]], flags: int = 0) -> None:
        """Compile rules: a sign, a pattern and its replacement.

        The sign is a part of every text that the pattern matches: it is found much faster, and
        without it the pattern is not tried. "" is in every text.
        """
        self._rules = [(sign, re.compile(pattern, flags), new) for sign, pattern, new in rules]

    def rewritten(self, text: str) -> str:
        """Return the text after all substitutions."""
        for sign, pattern, replacement in self._rules:
            if sign in text:
                text = pattern.sub(replacement, text)
        return text
