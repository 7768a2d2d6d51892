"""Why an exact part declines to decide; each says its reason in a phrase.

UnsureError hands the question on (to Math-Verify), LimitError leaves it undecided, the other two
make an answer wrong and a gold answer unusable.
"""

from __future__ import annotations


class RefusalError(Exception):
    """Base of the four."""


class UnsureError(RefusalError):
    """Not in our grammar, or nothing our normal form can tell."""


class LimitError(RefusalError):
    """More work than one answer is given."""


class OversizeError(RefusalError):
    """Longer or deeper than any answer is."""


class UndefinedError(RefusalError):
    """No value: 1/0, infinity minus infinity."""
