"""The interval of a share of verdicts: right answers of a model, or errors of a verifier."""

from __future__ import annotations

import math

_Z = 1.959964
"""the 97.5th percentile of the normal distribution: intervals of 95 %"""


def wilson(n_right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share after Wilson (1927), (0, 1) without samples.

    It stays within 0 and 1 and has a width even if all samples agree.
    """
    if n == 0:
        return 0.0, 1.0
    share, weight = n_right / n, _Z**2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)
