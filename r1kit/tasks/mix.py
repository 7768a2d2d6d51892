"""Task mixture: a recipe's tasks as one, with weights, custom task files and validation."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from r1kit.config import GeneralConfig, Recipe, TaskConfig
from r1kit.errors import TaskError
from r1kit.renderers.r1kit import document_text
from r1kit.tasks.base import Task
from r1kit.tasks.code import CODE_TASKS
from r1kit.tasks.file_task import PUBLIC, FileTask, file_config
from r1kit.tasks.general import General
from r1kit.tasks.general.prompt_task import PromptTask
from r1kit.tasks.long_context import LONG_CONTEXT_TASKS
from r1kit.tasks.sums import Sums
from r1kit.tasks.world import FAMILIES, Family
from r1kit.types import Problem, Split, Verdict
from r1kit.verify.language import LANGUAGES

N_VALIDATED = 32
"""number of problems of each task whose gold answer must verify before a run starts"""
FILE_KEYS = {"verifier", "columns", "held_out", "instruction", "on_bad_rows"}
"""keys of a task that reads a file of questions"""
BLOCK = 1000
"""number of consecutive problems in which every task has exactly its share, if one is a file"""
EXERCISE_SHARE = 0.3
"""share of corpus documents about the world that are pages of exercises"""
CONVERSATION_SHARE = 0.05
"""share of corpus documents that are pages of general conversation, if the recipe has general
prompts"""


class TaskMixture:
    """A weighted mixture of tasks, itself a pure function of (seed, split, index)."""

    def __init__(
        self,
        tasks: Sequence[Task],
        weights: Sequence[float],
        seed: int,
        split: Split,
        talk: General | None = None,
    ):
        """Create a mixture; `talk` contributes to the corpus alone, not to the problems."""
        self.tasks = list(tasks)
        self.weights = list(weights)
        self.seed = seed
        self.split = split
        self.talk = talk
        self._block: tuple[int, list[int]] = (-1, [])
        self._by_name = {task.name: task for task in self.tasks}
        # Corpus weights are square roots, so that rare families are still learned.
        pairs = zip(self.tasks, self.weights, strict=True)
        self._families = {task: weight**0.5 for task, weight in pairs if isinstance(task, Family)}

    def problem(self, index: int) -> Problem:
        if self.is_finite:
            return self._problem_of_epoch(index)
        rng = random.Random(f"mix/{self.split}/{self.seed}/{index}")
        [task] = rng.choices(self.tasks, self.weights)
        return task.problem(index)

    def _problem_of_epoch(self, index: int) -> Problem:
        """Return a problem such that every task is asked for its indices 0, 1, 2, ... in order.

        Otherwise the rows of a file that is mixed with other tasks would not all occur in an epoch.
        """
        block, place = divmod(index, BLOCK)
        if self._block[0] != block:
            drawn = [i for i, n in enumerate(apportioned(self.weights, BLOCK)) for _ in range(n)]
            random.Random(f"mix/{self.split}/{self.seed}/block/{block}").shuffle(drawn)
            self._block = (block, drawn)
        drawn = self._block[1]
        chosen = drawn[place]
        earlier = block * drawn.count(chosen) + drawn[:place].count(chosen)
        return self.tasks[chosen].problem(earlier)

    @property
    def is_finite(self) -> bool:
        """True if one of the tasks is a file."""
        return any(task.is_finite for task in self.tasks)

    @property
    def notes(self) -> list[str]:
        """Sentences about rows of files that are left out."""
        return [note for task in self.tasks for note in task.notes]

    def problems(self, start: int, n: int) -> list[Problem]:
        return [self.problem(index) for index in range(start, start + n)]

    def longest(self) -> list[Problem]:
        """Return the longest problem of every file."""
        return [task.longest() for task in self.tasks if isinstance(task, FileTask)]

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return self._by_name[problem.task].verify(problem, answer)

    def document(self, index: int) -> str:
        """Return a base-corpus document of a family of the world, or a page of conversation."""
        rng = random.Random(f"corpus/{self.split}/{self.seed}/{index}")
        if not self._families:
            raise TaskError(
                "Pretraining a base needs a family of the world among the tasks "
                f"({', '.join(FAMILIES)}), or an existing base: set model.path."
            )
        if self.talk is not None and rng.random() < CONVERSATION_SHARE:
            return document_text(None, self.talk.exercise(index))
        [family] = rng.choices(list(self._families), list(self._families.values()))
        if rng.random() < EXERCISE_SHARE:
            return document_text(None, family.exercise(index))
        problem, completion = family.document(index)
        return document_text(problem.messages[-1].content, completion)

    def with_share(self, task: Task, share: float) -> TaskMixture:
        """Return a mixture with an additional task, which gets `share` (at most 1) of the total."""
        if share == 1:
            return TaskMixture([task], [1.0], self.seed, self.split)
        weight = share / (1 - share) * sum(self.weights)
        return TaskMixture([*self.tasks, task], [*self.weights, weight], self.seed, self.split)

    def distinct(self, n: int, key: str = "eval.n_problems") -> list[Problem]:
        """Return the first `n` problems with distinct ids; `key` is the setting that `n` is."""
        problems: dict[str, Problem] = {}
        for index in range(100 * n):
            problem = self.problem(index)
            problems.setdefault(problem.id, problem)
            if len(problems) == n:
                return list(problems.values())
        more = "set held_out of a task" if self.is_finite else "raise a task's level"
        raise TaskError(
            f"The tasks have fewer than {n} different {self.split} problems "
            f"(found {len(problems)}); lower {key} or {more}."
        )


def apportioned(weights: Sequence[float], n: int) -> list[int]:
    """Divide `n` by weights into whole numbers, at least 1 each: largest remainders first."""
    exact = [weight / sum(weights) * n for weight in weights]
    counts = [max(int(share), 1) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: max(n - sum(counts), 0)]:
        counts[i] += 1
    while sum(counts) > n:  # weights too small for one in n were rounded up
        counts[counts.index(max(counts))] -= 1
    return counts


def load_tasks(recipe: Recipe, split: Split) -> TaskMixture:
    """Load the tasks of a recipe. Raises TaskError if one does not load or fails validation."""
    tasks = [_load(config, recipe, split) for config in recipe.tasks]
    for task in tasks:
        validate(task)
    if len({task.name for task in tasks}) < len(tasks):
        raise TaskError("Two tasks of the recipe have the same name; give each one entry.")
    talk = general(recipe, split) if recipe.general is not None else None
    weights = [config.weight for config in recipe.tasks]
    return TaskMixture(
        tasks, weights, recipe.seed, split, talk if isinstance(talk, General) else None
    )


def _load(config: TaskConfig, recipe: Recipe, split: Split) -> Task:
    name = config.name or ""
    if name in PUBLIC or (config.path is not None and name not in _classes() and ":" not in name):
        return FileTask(file_config(config), split, recipe.seed)
    options: dict[str, Any] = {} if config.path is None else {"path": config.path}
    if options and name not in CODE_TASKS:
        raise TaskError(
            f"Task {name!r} reads no file; remove its `path`, or give the questions in it another "
            "name."
        )
    if unused := sorted(FILE_KEYS & config.model_fields_set):
        raise TaskError(
            f"Task {name!r} has no {unused[0]!r}; the key is for your own questions, which have a "
            "name of their own and a path."
        )
    return _find(name)(
        level=config.level, languages=recipe.languages, split=split, seed=recipe.seed, **options
    )


def general(recipe: Recipe, split: Split) -> Task:
    """Load the task for general prompts. Raises TaskError as `load_tasks` does."""
    config = recipe.general or GeneralConfig()
    if config.prompts is not None or config.harmful_prompts is not None:
        return PromptTask(config, split, recipe.seed)
    task = _find(config.name)(
        level=config.level, languages=recipe.languages, split=split, seed=recipe.seed
    )
    validate(task)
    return task


def validate(task: Task) -> None:
    """Raise TaskError unless the task's gold answers verify and an empty answer does not."""
    for index in range(N_VALIDATED):
        problem = task.problem(index)
        if problem.language not in LANGUAGES:
            raise TaskError(
                f"Task {task.name!r} has a problem in language {problem.language!r}; the languages "
                f"are {', '.join(LANGUAGES)}."
            )
        gold = task.gold(problem)
        if gold is not None and task.verify(problem, gold).correct is not True:
            raise TaskError(
                f"Task {task.name!r} rejects its own gold answer {problem.answer[:200]!r} to "
                f"{problem.id}, {problem.messages[-1].content[:200]!r}; {task.remedy}."
            )
        if task.verify(problem, "").correct:
            raise TaskError(f"Task {task.name!r} accepts an empty answer; correct its verify().")


def _find(name: str) -> type[Task]:
    if ":" in name:
        return _import(*name.rsplit(":", 1))
    classes = _classes()
    if name not in classes:
        raise TaskError(
            f"There is no task {name!r}; the world has {', '.join(sorted(FAMILIES))}, "
            f"sums for pretrained models are {Sums.name}, "
            f"long contexts are {' and '.join(LONG_CONTEXT_TASKS)}, "
            f"conversation is {General.name}, public sets are "
            f"{', '.join(sorted({*PUBLIC, *CODE_TASKS}))}, a file of questions needs its path, and "
            "a task in Python is named as path.py:Class."
        )
    return classes[name]


def _classes() -> dict[str, type[Task]]:
    return {
        **FAMILIES,
        **CODE_TASKS,
        **LONG_CONTEXT_TASKS,
        General.name: General,
        Sums.name: Sums,
    }


def _import(path: str, class_name: str) -> type[Task]:
    file = Path(path)
    module_name = f"r1kit_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None or not file.exists():
        raise TaskError(f"There is no task file {path}; name it relative to where you run r1.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise TaskError(f"{path} does not import: {type(error).__name__}: {error}.") from error
    task_class = getattr(module, class_name, None)
    if not (isinstance(task_class, type) and issubclass(task_class, Task)):
        raise TaskError(f"{path} has no class {class_name!r} that is a Task (r1kit.tasks.base).")
    return task_class
