"""The world: problems and documents of every family, at every level, in every language."""

import math
import random
import re

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from r1kit.renderers.thinking import parse
from r1kit.tasks.base import HELD_OUT_SHARE, split_of
from r1kit.tasks.world import FAMILIES, Arithmetic, Author, Countdown, Equation, Family, Series
from r1kit.tasks.world.author import MAX_TRIES
from r1kit.tasks.world.countdown import CountdownExpression, candidates
from r1kit.verify.expression import check_countdown

every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def box(answer: str) -> str:
    return f"\\boxed{{{answer}}}"


@every_family
@pytest.mark.parametrize("level", [1, 2, 3])
def test_gold_verifies_and_near_misses_do_not(family: type[Family], level: int) -> None:
    task = family(level=level)
    for index in range(60):
        problem = task.problem(index)
        assert task.verify(problem, box(problem.answer)).correct is True
        is_expression = task.name in ("countdown", "program")
        near = f"{problem.answer}+1" if is_expression else str(int(problem.answer) + 1)
        assert task.verify(problem, box(near)).correct is False
        assert task.verify(problem, "").correct is False


@every_family
def test_a_problem_is_a_function_of_its_place(family: type[Family]) -> None:
    here, there = family(seed=3), family(seed=3)
    assert [here.problem(i) for i in (5, 1, 5)] == [there.problem(i) for i in (5, 1, 5)]
    assert here.problem(1) != family(seed=4).problem(1)
    assert here.document(7) == there.document(7)


@every_family
def test_train_and_held_out_share_no_problem_in_any_language(family: type[Family]) -> None:
    train = {family(split="train").problem(i).id for i in range(400)}
    held_out = {family(split="held_out").problem(i).id for i in range(400)}
    assert not train & held_out
    assert all(split_of(id) == "train" for id in train)
    # Documents of the corpus are written about training problems only.
    assert all(split_of(family().document(i)[0].id) == "train" for i in range(100))


def test_one_problem_in_ten_is_held_out() -> None:
    held_out = sum(split_of(f"equation/{i}") == "held_out" for i in range(20_000))
    assert held_out / 20_000 == pytest.approx(1 / HELD_OUT_SHARE, abs=0.01)


@every_family
def test_worded_in_the_language_it_says(family: type[Family]) -> None:
    for language, own in {"ko": "\\p{Hangul}", "zh": "\\p{Han}", "en": "[A-Za-z]"}.items():
        task = family(languages=[language])
        problems = [task.problem(i) for i in range(20)]
        assert {problem.language for problem in problems} == {language}
        for problem in problems:
            output = problem.messages[0].content.replace("def f(x):return", "")
            foreign = regex.sub(rf"{own}|[fx\P{{L}}]", "", output)
            assert foreign == ""


def test_equation_is_solved_by_its_answer() -> None:
    task = Equation(level=2)
    for index in range(100):
        meta, x = task.problem(index).meta, int(task.problem(index).answer)
        assert meta["a"] * x + meta["b"] == meta["c"]


def test_series_adds_up() -> None:
    task = Series(level=3)
    for index in range(100):
        problem = task.problem(index)
        meta = problem.meta
        terms = range(meta["first"], meta["last"] + 1, meta["step"])
        assert len(terms) == meta["n"]
        assert sum(terms) == int(problem.answer)


def test_arithmetic_terms_give_the_answer() -> None:
    task = Arithmetic(level=2)
    for index in range(100):
        problem = task.problem(index)
        assert sum(task.terms(problem)) == int(problem.answer)


def test_candidates_by_hand() -> None:
    in_order = [str(way) for way in candidates((29, 3, 4), level=1)]
    assert in_order == ["29-3-4", "29-3+4", "29+3-4", "29+3+4"]
    plain = {str(way) for way in candidates((9, 3, 4), level=2)}
    assert plain == {"9+3+4", "9+3-4", "9+4-3", "3+4-9"}
    assert len(candidates((9, 3, 4), level=3)) == 10
    way = CountdownExpression((9, 3, 4), "*-")
    assert (str(way), way.value(), way.steps()) == ("9*3-4", 23, [(27, "-4"), (23, "")])


@given(st.lists(st.integers(1, 12), min_size=3, max_size=4, unique=True), st.sampled_from([2, 3]))
def test_every_candidate_is_a_valid_expression_of_its_value(numbers: list[int], level: int) -> None:
    for way in candidates(tuple(numbers), level):
        assert check_countdown(str(way), numbers, way.value()).correct is True


@every_family
def test_documents_are_imperfect_but_not_hopeless(family: type[Family]) -> None:
    """The base must have the skills and lack the will: some right, most not, some badly formed."""
    task = family()
    right = well_formed = waits = 0
    n = 600
    for index in range(n):
        problem, text = task.document(index)
        parsed = parse(text)
        well_formed += parsed.well_formed
        right += task.verify(problem, parsed.answer or "").correct is True
        waits += any(word in text for word in ("wait", "잠깐", "等等"))
    assert 0.05 < right / n < 0.45
    assert 0.75 < well_formed / n < 0.99
    assert 0.03 < waits / n < 0.5


@every_family
@pytest.mark.parametrize("level", [1, 3])
def test_exercises_are_never_wrong(family: type[Family], level: int) -> None:
    """Every equality on a page of exercises holds, and "yes" is said where nothing is left."""
    task = family(level=level, languages=["en"])
    for index in range(80):
        for line in task.exercise(index).splitlines():
            if "x+" in line or ")/" in line:
                continue  # the equation itself; the step of a series
            for part in re.findall(r"[-+*\d]+(?:=[-+*\d]+)+", line):
                assert len({value_of(side) for side in part.split("=")}) == 1, line
            if line.endswith(("yes", "no")):
                left = re.search(r"=(-?\d+) (yes|no)$", line)
                assert left is not None
                assert (left[2] == "yes") == (left[1] == "0"), line


def value_of(expression: str) -> int:
    """Of an expression of + - * without parentheses, by hand."""
    total = 0
    for term in re.findall(r"[-+]?[^-+]+(?:\*-?\d+)*", expression):
        total += math.prod(int(factor) for factor in term.split("*"))
    return total


@pytest.mark.parametrize("family", [Equation, Countdown], ids=lambda family: family.name)
def test_exercises_show_right_and_wrong_tries(family: type[Family]) -> None:
    pages = [family(level=2, languages=["en"]).exercise(i) for i in range(300)]
    output = [line.split(" ")[-1] for page in pages for line in page.splitlines()]
    assert 0.25 < output.count("yes") / (output.count("yes") + output.count("no")) < 0.4


def test_an_author_without_slips_is_right_when_it_says_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1kit.tasks.world.author.P_SLIP", 0.0)
    monkeypatch.setattr("r1kit.tasks.world.countdown.P_SKIP", 0.0)
    task = Countdown(level=2, languages=["en"])
    said_yes = 0
    for index in range(300):
        problem = task.problem(index)
        author = Author(random.Random(index), "en", ("en",))
        answer = task.think(problem, author)
        if author.lines[-1].endswith("yes"):
            said_yes += 1
            assert task.verify(problem, box(answer)).correct is True
        else:
            assert task.verify(problem, box(answer)).correct is False
    assert said_yes > 20


@pytest.mark.parametrize("family", [Equation, Countdown], ids=lambda family: family.name)
def test_persistent_author_solves_the_problem_or_runs_out_of_tries(
    monkeypatch: pytest.MonkeyPatch, family: type[Family]
) -> None:
    monkeypatch.setattr("r1kit.tasks.world.author.P_PERSIST", 1.0)
    monkeypatch.setattr(f"r1kit.tasks.world.{family.name}.P_SKIP", 0.0)
    task = family(languages=["en"])
    for slips in (0.0, 0.9):  # a slip may hide the solution: the search must end all the same
        monkeypatch.setattr("r1kit.tasks.world.author.P_SLIP", slips)
        for index in range(100):
            problem = task.problem(index)
            author = Author(random.Random(index), "en", ("en",))
            answer = task.think(problem, author)
            assert len(author.lines) <= MAX_TRIES
            assert slips or task.verify(problem, box(answer)).correct is True


def test_an_equation_overshot_is_come_back_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1kit.tasks.world.author.P_PERSIST", 1.0)
    monkeypatch.setattr("r1kit.tasks.world.author.TRIES_BEFORE", {-3: 1})
    monkeypatch.setattr("r1kit.tasks.world.equation.P_SKIP", 0.0)
    problem = next(p for p in map(Equation().problem, range(99)) if int(p.answer) > 3)
    author = Author(random.Random(0), "en", ("en",), is_careful=True)
    assert Equation().think(problem, author) == problem.answer
    tried = [int(line.partition("x=")[2].partition(":")[0]) for line in author.lines]
    x = int(problem.answer)
    assert tried == [x + 3, x + 2, x + 1, x]


def test_drifting_authors_leave_the_language_of_the_question() -> None:
    task = Equation(languages=["en", "ko"])
    texts = [task.document(i) for i in range(400)]
    english = [text for problem, text in texts if problem.language == "en"]
    drifted = [text for text in english if any("가" <= letter <= "힣" for letter in text)]
    assert 0.05 < len(drifted) / len(english) < 0.35
