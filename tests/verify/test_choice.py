"""Which letter is chosen, in three languages."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.verify.choice import check_choice, shuffle_options, stated_letters
from r1kit.verify.statements.letters import LETTERS

STATED = {
    "Answer: B": "B",
    "The correct answer is (B)": "B",
    "\\boxed{B}": "B",
    "\\boxed{\\text{B}}": "B",
    "选B": "B",
    "答案是 B": "B",
    "故选：B": "B",
    "정답은 B": "B",
    "답: (B)번": "B",
    "B. photosynthesis": "B",
    "**B**": "B",
    "Answer: A\nWait. Answer: C": "C",
    "The answer is A or B": "AB",
    "The answer is A cat": None,
    "A cat sat.": None,
    "I think so": None,
    "The answer is B because A is wrong": "B",
    "Ｂ": "B",
    "答案：Ｃ": "C",
    "(D)": "D",
    "Answer: **D**": "D",
    "The answer is: **(C) mitochondria**": "C",
    "\\boxed{C. x}": "C",
    "$\\boxed{\\mathrm{D}}$": "D",
    "answer: b": "B",
    "\\boxed{b}": "B",
    "正确答案为D。": "D",
    "B选项正确": "B",
    "선택지 B가 정답입니다.": "B",
    "정답은 C입니다.": "C",
    "Option B is correct.": "B",
    "B is the correct answer.": "B",
    "B is not correct.": None,
    "The answer is not B.": None,
    "答案不是B": None,
    "不选B": None,
    "ABCD": None,
    "Answer: ABCD": "ABCD",
    "\\boxed{A, B}": "AB",
    "\\boxed{AB}": "AB",
    "A. x\nB. y\nC. z": None,
    "Let me think.\nB. y": "B",
    "Answer: K": None,
    "Answer: J": "J",
    "Answer:B": "B",
    "The best choice is D": "D",
    "Answer: $B$": "B",
    "The answer is option C.": "C",
    "I would say the answer is B) 42": "B",
    "": None,
    "Answer: none": None,
    "Both A and B are wrong; the answer is C": "C",
    "The final answer is $\\boxed{\\textbf{(E)}}$": "E",
    "\\boxed{\\text{(B) } 42}": "B",
    "Bad answer": None,
    "The answer is A.": "A",
    "The answer is A because it is": "A",
    "\\boxed{A \\text{ or } B}": "AB",
    "Therefore, A": None,
    "因此选择 A 选项": "A",
    "答案选C": "C",
    "A or B": "AB",
    "답은 A 또는 B": "AB",
    "The answer is A+": None,
    "(A) and (C)": "AC",
    "The answer is (A), not (B).": "A",
    "Answer: C. No, all states are equal (article 2, para 1)": "C",
    "Answer: C. No, wait. That is wrong.": None,
    "Answer: C. No, the answer is B.": "B",
    "Answer: C. No, that cannot be.": None,
    "Answer: C. No, B.": None,
    "Answer: C. No.": None,
}


@pytest.mark.parametrize(("text", "letters"), STATED.items())
def test_stated_letters(text: str, letters: str | None) -> None:
    assert stated_letters(text) == letters


def test_the_four_outcomes() -> None:
    assert check_choice("Answer: B", "B").outcome == "correct"
    assert check_choice("Answer: B", "(b)").outcome == "correct"
    assert check_choice("Answer: A", "B").outcome == "incorrect"
    assert check_choice("A or B", "B").outcome == "incorrect"
    assert check_choice("Answer: E", "B").why == "not one of 4 options"
    assert check_choice("Answer: E", "E", n_options=5).outcome == "correct"
    assert check_choice("A cat sat on the mat.", "A").outcome == "no answer"
    for gold in ("", "5", "AB", "E", "photosynthesis"):
        assert check_choice("Answer: B", gold).outcome == "undecided"
    with pytest.raises(ValueError, match="2 to 10"):
        check_choice("Answer: B", "B", n_options=11)


@given(st.text(), st.sampled_from("ABCD"))
def test_any_text_gets_a_verdict(text: str, gold: str) -> None:
    assert check_choice(text, gold).correct in (True, False)


@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"))
def test_the_last_statement_wins(first: str, last: str) -> None:
    for form in (
        "Answer: {}",
        "The answer is ({}).",
        "\\boxed{{{}}}",
        "答案是{}。",
        "정답은 {}입니다.",
    ):
        text = f"Answer: {first}\nWait.\n{form.format(last)}"
        assert stated_letters(text) == last


def test_hostile_text_is_bounded_in_time() -> None:
    start = time.process_time()
    for part in (
        "A",
        "A ",
        "A or ",
        "answer ",
        "answer is ",
        "(",
        "\\boxed{",
        "*",
        "\n",
        "答案是",
        "选A",
    ):
        check_choice(part * (2_000_000 // len(part)), "B")
    assert (
        time.process_time() - start < 20
    )  # a busy machine takes a few; quadratic time would be minutes


def test_options_are_shuffled_by_seed_and_problem_alone() -> None:
    options = ["red", "green", "blue", "black"]
    shuffled, letter = shuffle_options(options, 2, seed=0, problem_id="mmlu/7")
    assert sorted(shuffled) == sorted(options)
    assert shuffled[LETTERS.index(letter)] == "blue"
    assert shuffle_options(options, 2, seed=0, problem_id="mmlu/7") == (shuffled, letter)
    assert shuffle_options(options, 2, 0, "mmlu/7") == (["black", "blue", "red", "green"], "B")
    positions = [shuffle_options(options, 0, 0, f"mmlu/{i}")[1] for i in range(400)]
    assert all(60 < positions.count(index) < 140 for index in "ABCD")
    with pytest.raises(ValueError, match="no option 4"):
        shuffle_options(options, 4, 0)
