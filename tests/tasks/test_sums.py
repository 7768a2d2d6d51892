"""Sums in plain words: their answers, their numbers and their splits."""

import re

import pytest

from r1kit.tasks.base import split_of
from r1kit.tasks.mix import validate
from r1kit.tasks.sums import HIGHEST, LOWEST, Sums
from r1kit.verify.language import language_of


@pytest.mark.parametrize("level", [1, 2, 4])
def test_the_answer_is_that_of_the_question(level: int) -> None:
    task = Sums(level=level, languages=["en"])
    counts = set()
    for index in range(300):
        problem = task.problem(index)
        question = problem.messages[-1].content
        statement = re.fullmatch(r"What is (.+)\?", question)
        assert statement
        terms = [int(term) for term in re.sub(r"([+-]) ", r"\1", statement[1]).split()]
        assert sum(terms) == int(problem.answer) >= 0
        assert all(LOWEST <= abs(term) <= HIGHEST for term in terms)
        counts.add(len(terms))
    assert counts == set(range(2, level + 2))


def test_a_right_answer_is_paid_and_a_wrong_one_is_not() -> None:
    task = Sums(languages=["en"])
    problem = task.problem(0)
    answer = int(problem.answer)
    assert task.verify(problem, f"It is \\boxed{{{answer}}}.").correct is True
    assert task.verify(problem, f"The answer is {answer}.").correct is True
    assert task.verify(problem, f"\\boxed{{{answer + 1}}}").correct is False


@pytest.mark.parametrize("language", ["en", "ko", "zh"])
def test_every_language_asks_and_the_splits_are_disjoint(language: str) -> None:
    train, held_out = (Sums(languages=[language], split=s) for s in ("train", "held_out"))
    for task in (train, held_out):
        validate(task)
    assert language_of(train.problem(0).messages[-1].content) == language
    ids = {train.problem(index).id for index in range(300)}
    assert ids.isdisjoint(held_out.problem(index).id for index in range(300))
    assert {split_of(problem_id) for problem_id in ids} == {"train"}
