"""Several tasks as one, user files, and tasks that do not prove themselves."""

import collections
import dataclasses
import random
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from r1kit import config
from r1kit.errors import TaskError
from r1kit.tasks import mix
from r1kit.tasks.world import Equation
from r1kit.types import Json, Problem


def recipe(*tasks: Json, **more: object) -> config.Recipe:
    return config.parse({"name": "t", "tasks": list(tasks), **more}, "test")


def test_tasks_are_drawn_by_weight() -> None:
    tasks = mix.load_tasks(
        recipe({"name": "equation", "weight": 3}, {"name": "series", "weight": 1}), "train"
    )
    counts = collections.Counter(problem.task for problem in tasks.problems(0, 2000))
    assert counts["equation"] / 2000 == pytest.approx(0.75, abs=0.03)
    assert tasks.problems(10, 5) == tasks.problems(0, 20)[10:15]


def test_distinct_problems_have_different_ids() -> None:
    tasks = mix.load_tasks(recipe({"name": "equation"}), "held_out")
    problems = tasks.distinct(60)
    assert len({problem.id for problem in problems}) == 60


def test_too_few_problems_says_so() -> None:
    tasks = mix.load_tasks(recipe({"name": "equation"}), "held_out")
    with pytest.raises(TaskError, match=r"fewer than 300 different held_out problems"):
        tasks.distinct(300)


OWN = """
    from r1kit.tasks.base import GeneratedTask
    from r1kit.types import Message, Problem
    from r1kit.verify.answer import check_number

    class Doubling(GeneratedTask):
        name = "doubling"

        def draw(self, rng, language):
            n = rng.randint(1, 500)
            return Problem(f"doubling/{n}", self.name, (Message("user", f"{n}*2=?"),),
                           str(2 * n), language)

        def verify(self, problem, answer):
            return check_number(answer, {gold})

    class NotATask:
        pass
"""


WriteOwn = Callable[..., Path]


@pytest.fixture
def own(tmp_path: Path) -> WriteOwn:
    def write(gold: str = "problem.answer") -> Path:
        path = tmp_path / "own.py"
        path.write_text(textwrap.dedent(OWN.replace("{gold}", gold)))
        return path

    return write


def test_a_language_nobody_measures_is_refused_before_a_run() -> None:
    class French(Equation):
        def draw(self, rng: random.Random, language: str) -> Problem:
            return dataclasses.replace(super().draw(rng, "en"), language="fr")

    with pytest.raises(
        TaskError, match="has a problem in language 'fr'; the languages are en, ko, zh"
    ):
        mix.validate(French())


def test_a_users_own_task(own: WriteOwn) -> None:
    tasks = mix.load_tasks(recipe({"name": f"{own()}:Doubling"}), "train")
    problem = tasks.problem(0)
    assert tasks.verify(problem, f"\\boxed{{{problem.answer}}}").correct is True


def test_a_task_that_refuses_its_gold_is_refused(own: WriteOwn) -> None:
    with pytest.raises(TaskError, match="rejects its own gold answer"):
        mix.load_tasks(recipe({"name": f"{own('str(int(problem.answer) + 1)')}:Doubling"}), "train")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("equatoin", "There is no task 'equatoin'; the world has"),
        ("nowhere.py:Task", "There is no task file nowhere.py"),
        ("{own}:NotATask", "has no class 'NotATask' that is a Task"),
        ("{own}:Missing", "has no class 'Missing' that is a Task"),
    ],
)
def test_a_name_that_cannot_be_meant(name: str, says: str, own: WriteOwn) -> None:
    with pytest.raises(TaskError, match=says):
        mix.load_tasks(recipe({"name": name.format(own=own())}), "train")


def test_a_file_that_does_not_import(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_this_name")
    with pytest.raises(TaskError, match="does not import: ModuleNotFoundError"):
        mix.load_tasks(recipe({"name": f"{path}:Task"}), "train")


def test_a_corpus_needs_the_world(own: WriteOwn) -> None:
    tasks = mix.load_tasks(recipe({"name": f"{own()}:Doubling"}), "train")
    with pytest.raises(TaskError, match="set model.path"):
        tasks.document(0)


def test_the_same_task_twice_is_refused() -> None:
    with pytest.raises(TaskError, match="same name"):
        mix.load_tasks(recipe({"name": "series"}, {"name": "series", "level": 2}), "train")
