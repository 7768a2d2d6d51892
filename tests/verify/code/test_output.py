"""Outputs of programs, line by line."""

import pytest

from r1kit.verify.code.output import first_difference, same_output


@pytest.mark.parametrize(
    ("got", "expected", "is_same"),
    [
        ("7\n", "7", True),
        ("7  \n\n", "7\n", True),
        ("1 2\n3\n", "1 2\n3", True),
        ("1\n2\n", "1\n", False),  # open-r1's grader pays for a right first line
        ("1\n", "1\n2\n", False),
        ("1\nwrong\n", "1\n2\n", False),
        ("\n7", "7", False),
        ("0.50", "0.5", True),
        ("1e3", "1000", True),
        ("7.0 8", "7 8", True),
        ("7 8", "7  8", True),
        ("YES", "Yes", True),
        ("1_000", "1000", False),
        ("٣", "3", False),
        ("nan", "NaN", False),
        ("", "", True),
        ("7", "", False),
        ("9" * 5000, "9" * 4999 + "8", False),
        ("1e999", "1e998", False),
    ],
)
def test_same_output_by_hand(got: str, expected: str, is_same: bool) -> None:
    assert same_output(got, expected) is is_same


def test_the_difference_is_told() -> None:
    assert first_difference("1\n5\n", "1\n2\n") == "line 2 is '5', not '2'"
    assert first_difference("1\n", "1\n2\n") == "1 lines, not 2"
