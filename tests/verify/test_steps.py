"""Equations in a text, by hand."""

import time

import pytest

from r1kit.verify.steps import true_steps


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("4*7=28", 1.0),
        ("4*7=27", 0.0),
        ("4 * 7 = 28, 28+3=32", 0.5),
        ("31-38=-7", 1.0),
        ("12/4=3 7/2=3", 0.5),
        ("7/0=0", 0.0),
        ("1+2*3=7", 1.0),
        ("x=4", None),
        ("28=28", None),
        ("2x+3=7", None),
        ("no numbers", None),
        ("4*7=281", 0.0),
    ],
)
def test_by_hand(text: str, share: float | None) -> None:
    assert true_steps(text) == share


def test_hostile_text_costs_little() -> None:
    start = time.process_time()
    true_steps("1+" * 50_000 + "=1" * 50_000)
    true_steps("9*9=" * 50_000)
    assert (
        time.process_time() - start < 20
    )  # a busy machine takes a few; quadratic time would be minutes
