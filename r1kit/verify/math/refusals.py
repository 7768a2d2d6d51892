"""Exceptions by which the exact part declines to decide; the message is the reason, as a phrase.

UnsureError passes the question on to Math-Verify, LimitError leaves it undecided; the other two
make an answer wrong, or a gold answer unusable.
"""

from __future__ import annotations


class RefusalError(Exception):
    """The base class of the four exceptions below."""


class UnsureError(RefusalError):
    """The text is outside the grammar, or the normal form cannot decide."""


class LimitError(RefusalError):
    """The answer needs more computation than the limits allow."""


class OversizeError(RefusalError):
    """The text is longer or more deeply nested than any real answer."""


class UndefinedError(RefusalError):
    """The expression has no value: 1/0, infinity minus infinity."""
