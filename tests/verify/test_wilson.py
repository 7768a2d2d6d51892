"""The interval of a share, by the values of scipy."""

from __future__ import annotations

import pytest

from r1kit.verify.wilson import wilson


@pytest.mark.parametrize(
    ("n_right", "n", "low", "high"),
    [
        (0, 1, 0.0, 0.793451),
        (0, 16, 0.0, 0.193608),
        (1, 1, 0.206549, 1.0),
        (4, 16, 0.101821, 0.494983),
        (16, 16, 0.806392, 1.0),
        (63, 64, 0.916659, 0.997236),
    ],
)
def test_the_interval_is_that_of_scipy(n_right: int, n: int, low: float, high: float) -> None:
    """The values are those of scipy.stats.binomtest(...).proportion_ci(method="wilson")."""
    assert wilson(n_right, n) == pytest.approx((low, high), abs=2e-6)
