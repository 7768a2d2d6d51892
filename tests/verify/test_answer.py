"""Which answer is final, and which numbers are equal."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.types import Verdict
from r1kit.verify.answer import check_number, final_answer, parse_number, same_number

FINAL = {
    "so \\boxed{5}": "5",
    "\\boxed{4}, no: \\boxed{5}.": "5",
    "\\boxed{ \\frac{1}{2} }": "\\frac{1}{2}",
    "\\boxed{\\boxed{5}}": "5",
    "\\boxed{5} and \\boxed{6": None,
    "\\boxed{6 and \\boxed{5}": "5",
    "\\boxed{5} in \\boxed{} or \\boxed{ }": None,
    "\\boxed{\\{1, 2\\}}": "\\{1, 2\\}",
    "\\boxed{\\{5}": "\\{5",
    "\\boxed{2\n+ 3}": "2\n+ 3",
    "} \\boxed{5} }": "5",
    "Answer: 4\n\\boxed{5}\nAnswer: 6": "5",
    "Answer: 4\nAnswer: 5.": "5",
    "**Final answer:** -5": "-5",
    "The answer is: 5": "5",
    "답: 5": "5",
    "정답은: 5050입니다.": "5050입니다",
    "答案：5。": "5",
    "최종 답: 7\n끝": "7",
    "5": None,
    "\\boxed{}": None,
    "boxed{5}": None,
    "answers: 5": None,
    "": None,
}


@pytest.mark.parametrize(("text", "answer"), FINAL.items())
def test_final_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


EQUAL = {
    "5": ["5", " 5\n", "+5", "05", "5.0", "x = 5", "N=5", "$5$", "$x=5$", "$$5$$", "５", "10/2"],
    "-5": ["-5", "−5", "- 5", "－５", "-\\frac{10}{2}", "x = -5"],
    "1000": ["1,000", "1{,}000", "1000.00", "１，０００"],
    "1234567": ["1,234,567", "1234567"],
    "0.75": ["3/4", "\\frac{3}{4}", "\\dfrac{6}{8}", ".75", "$\\frac{3}{4}$", "3 / 4"],
    "0": ["-0", "0.0", "0/7"],
}
NOT_NUMBERS = [
    *("", " ", "five", "5 apples", "5²", "½", "٥", "5,00", "1,0000", "10,00", ",5", "1 000", "5%"),
    *(
        "5.",
        "5..0",
        "1.2.3",
        "--5",
        "+-5",
        "5-",
        "1e3",
        "0x10",
        "5/0",
        "\\frac{1}{0}",
        "2+3",
        "2*3",
    ),
    *(
        "5, 6",
        "5 or 6",
        "x",
        "x = y",
        "xy = 5",
        "x == 5",
        "$5",
        "5$",
        "$",
        "$$",
        "\\frac12",
        "1/2/3",
    ),
    *("nan", "inf", "5\x00", "\u202e5", "5\u200b", "1_000", "__import__('os')", "9" * 201),
]


@pytest.mark.parametrize(
    ("text", "gold"), [(text, gold) for gold, texts in EQUAL.items() for text in texts]
)
def test_equal_numbers(text: str, gold: str) -> None:
    assert same_number(text, gold)
    assert not same_number(text, "5000")


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_is_no_number_equals_nothing(text: str) -> None:
    assert parse_number(text) is None
    assert not same_number(text, "5")
    assert not same_number("5", text)
    assert not same_number(text, text)


@given(st.integers(), st.integers(1, 10**9))
def test_every_spelling_has_the_exact_value(top: int, bottom: int) -> None:
    assert parse_number(f"{top}/{bottom}") == Fraction(top, bottom)
    assert parse_number(f"{top:,}") == top
    assert parse_number(f"x = {top}.{bottom}") == Fraction(f"{top}.{bottom}")


@given(st.integers(), st.integers())
def test_different_integers_are_never_equal(a: int, b: int) -> None:
    assert same_number(str(a), str(b)) is (a == b)


def test_floats_would_call_these_equal() -> None:
    assert not same_number("9007199254740993", "9007199254740992")
    assert not same_number("0.333333333333333333", "1/3")


def test_verdicts_say_why() -> None:
    assert check_number("so \\boxed{x = 5}", "5") == Verdict(True, "x = 5", "equal")
    assert check_number("so \\boxed{4}", "5") == Verdict(False, "4", "not 5")
    assert check_number("5", "5") == Verdict(False, None, "no final answer")


def test_a_gold_that_is_no_number_decides_nothing() -> None:
    assert check_number("\\boxed{five}", "five").correct is None


@given(st.text())
def test_any_text_is_looked_at_without_an_error(text: str) -> None:
    assert check_number(text, "5").correct in (True, False)


def test_hostile_text_is_bounded_in_time() -> None:
    start = time.process_time()
    deep = "\\boxed{" * 10_000 + "5" + "}" * 10_000
    assert final_answer(deep) == "5"
    for text in (
        "\\boxed{" * 100_000,
        "{" * 10**6,
        "\\" * 10**6,
        "answer" + " " * 10**6,
        "\n" * 10**6,
    ):
        assert final_answer(text) is None
    assert final_answer("\\boxed{ }" * 100_000 + "}" * 100_000) is None
    for text in ("9" * 10**6, "1,000" * 10**5, " " * 10**6, "x" + " " * 199):
        assert parse_number(text) is None
    assert (
        time.process_time() - start < 20
    )  # a busy machine takes a few; quadratic time would be minutes
