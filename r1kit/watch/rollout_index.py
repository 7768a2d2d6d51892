"""An index of samples.jsonl: where each group is, and the numbers by which rollouts are chosen.

The texts stay on the disk; 100,000 rollouts take about 8 MB here.
"""

from __future__ import annotations

import heapq
import math
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.watch.growing_file import GrowingFile, is_step, parsed_line

RIGHT, WRONG, UNDECIDED = "right", "wrong", "undecided"
_VERDICTS = (UNDECIDED, WRONG, RIGHT)
END = -1
"""step of completions that were sampled when the stage was finished"""
MAX_QUESTION = 300
MAX_PARTS = 40


@dataclass(frozen=True)
class IndexedProblem:
    """A problem of which the run folder has completions."""

    id: str
    question: str
    task: str
    language: str


@dataclass(frozen=True)
class RolloutFilter:
    """The rollouts that a reader asks for; None does not restrict."""

    stage: str | None = None
    step: int | None = None
    problem: str | None = None
    task: str | None = None
    language: str | None = None
    verdict: str | None = None
    min_tokens: int = 0
    max_tokens: int | None = None
    part: str | None = None
    """a part of the reward; rollouts without it do not fit"""
    min_part: float | None = None
    max_part: float | None = None


class RolloutIndex:
    """The groups and rollouts of a samples.jsonl, as far as it is written.

    A rollout is known by its number, in the order of the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self.generation = 0
        """changes when the file was replaced, and with it the meaning of all numbers"""
        self.n_damaged = 0
        self._clear()

    def _clear(self) -> None:
        self._offsets: array[int] = array("Q")
        self._lengths: array[int] = array("Q")
        self._stages: array[int] = array("H")
        self._steps: array[int] = array("q")
        self._problems: array[int] = array("L")
        self._firsts: array[int] = array("Q")
        self._groups: array[int] = array("L")  # of each rollout, as the three below
        self._verdicts: array[int] = array("B")
        self._tokens: array[int] = array("L")
        self._scores: array[float] = array("d")
        self._parts: dict[str, array[float]] = {}
        self.stages: list[str] = []
        self.problems: list[IndexedProblem] = []
        self._stage_numbers: dict[str, int] = {}
        self._problem_numbers: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def n_groups(self) -> int:
        """Number of groups; a completion of the showcase is a group of its own."""
        return len(self._offsets)

    @property
    def parts(self) -> list[str]:
        """Names of the parts of the reward."""
        return sorted(self._parts)

    def refresh(self) -> bool:
        """Read what was written since the last call; return True if that changed anything."""
        is_restart, lines = self._file.read_new()
        before = 0 if is_restart else self.n_groups
        if is_restart:
            self.generation += 1
            self._clear()
        for offset, line in lines:
            record = parsed_line(line)
            if record is None:
                self.n_damaged += 1
            else:
                self._add(offset, len(line), record)
        return is_restart or self.n_groups > before

    def _add(self, offset: int, length: int, record: dict[str, Any]) -> None:
        rollouts = record.get("rollouts") if record.get("kind") == "group" else [record]
        problem = record.get("problem") if record.get("kind") == "group" else record
        stage, step = record.get("stage"), record.get("step")
        is_known = record.get("kind") in ("group", "showcase") and isinstance(stage, str)
        if not is_known or not isinstance(problem, dict) or not isinstance(rollouts, list):
            return
        assert isinstance(stage, str)
        rollouts = [rollout for rollout in rollouts if isinstance(rollout, dict)]
        group = self.n_groups
        self._offsets.append(offset)
        self._lengths.append(length)
        self._stages.append(self._stage_number(stage))
        self._steps.append(step if is_step(step) else END)
        self._problems.append(self._problem_number(problem))
        self._firsts.append(len(self))
        self._groups.extend([group] * len(rollouts))
        correct = [rollout.get("correct") for rollout in rollouts]
        self._verdicts.extend([2 if one is True else 1 if one is False else 0 for one in correct])
        n_tokens = [rollout.get("n_tokens") for rollout in rollouts]
        self._tokens.extend([n if is_step(n) else 0 for n in n_tokens])
        self._scores.extend([score(rollout) for rollout in rollouts])
        rewards = [rollout.get("reward") for rollout in rollouts]
        if not self._add_alike(rewards):
            for number, reward in enumerate(rewards, self._firsts[group]):
                self._add_parts(number, reward)

    def _add_alike(self, rewards: list[Any]) -> bool:
        """Add the rewards of a group at once if all have the same parts, as numbers; else False."""
        first, *others = rewards or [None]
        if type(first) is not dict or len(self._parts.keys() | first.keys()) > MAX_PARTS:
            return False
        keys = first.keys()
        n_keys = len(keys)
        try:
            # Fewer keys would miss one here, and more are counted.
            columns = [array("d", [reward[name] for reward in rewards]) for name in keys]
        except (TypeError, KeyError, OverflowError):
            return False
        if any(len(reward) != n_keys for reward in others):
            return False
        if not all(math.isfinite(sum(map(abs, column))) for column in columns):
            return False
        before = len(self) - len(rewards)
        for name, values in zip(keys, columns, strict=True):
            column = self._parts.setdefault(name, array("d"))
            if len(column) < before:
                column.extend([math.nan] * (before - len(column)))
            column.extend(values)
        return True

    def _add_parts(self, number: int, reward: Any) -> None:
        """Add the parts of a rollout's reward, a column per name; NaN where it has none."""
        for name, value in reward.items() if isinstance(reward, dict) else ():
            is_number = isinstance(value, (int, float)) and abs(value) < sys.float_info.max
            if is_number and (name in self._parts or len(self._parts) < MAX_PARTS):
                column = self._parts.setdefault(name, array("d"))
                column.extend([math.nan] * (number - len(column)))
                column.append(value)

    def _has_part(self, number: int, wanted: RolloutFilter) -> bool:
        column = self._parts.get(wanted.part or "", ())
        value = column[number] if number < len(column) else math.nan
        low = -math.inf if wanted.min_part is None else wanted.min_part
        return low <= value <= (math.inf if wanted.max_part is None else wanted.max_part)

    def _stage_number(self, stage: str) -> int:
        if stage not in self._stage_numbers:
            self._stage_numbers[stage] = len(self.stages)
            self.stages.append(stage)
        return self._stage_numbers[stage]

    def _problem_number(self, record: dict[str, Any]) -> int:
        question = str(record.get("question", ""))[:MAX_QUESTION]
        key = str(record.get("id", "")), question
        if key not in self._problem_numbers:
            self._problem_numbers[key] = len(self.problems)
            name = key[0] or f"question {len(self.problems) + 1}"
            task, language = str(record.get("task", "")), str(record.get("language", ""))
            self.problems.append(IndexedProblem(name[:120], question, task[:80], language[:20]))
        return self._problem_numbers[key]

    def find(
        self, wanted: RolloutFilter, order: str = "newest", start: int = 0, n: int = 50
    ) -> tuple[int, list[int]]:
        """Return how many rollouts fit, and the numbers of `n` of them from place `start` on."""
        numbers = list(self._fitting(wanted))
        key = self._key(order)
        if key is None:
            ordered = numbers[::-1] if order == "newest" else numbers
            return len(numbers), ordered[start : start + n]
        return len(numbers), heapq.nsmallest(start + n, numbers, key=key)[start:]

    def _key(self, order: str) -> Callable[[int], tuple[float, float]] | None:
        scores, tokens, verdicts = self._scores, self._tokens, self._verdicts
        keys: dict[str, Callable[[int], tuple[float, float]]] = {
            "best": lambda i: (-scores[i], -verdicts[i]),
            "worst": lambda i: (scores[i], verdicts[i]),
            "longest": lambda i: (-tokens[i], i),
            "shortest": lambda i: (tokens[i], i),
        }
        return keys.get(order)

    def _fitting(self, wanted: RolloutFilter) -> Iterator[int]:
        verdict = _VERDICTS.index(wanted.verdict) if wanted.verdict in _VERDICTS else None
        most = wanted.max_tokens
        is_free = verdict is None and wanted.min_tokens <= 0 and most is None and not wanted.part
        for group in self._fitting_groups(wanted):
            if is_free:
                yield from self._numbers(group)
                continue
            for number in self._numbers(group):
                n_tokens = self._tokens[number]
                if (
                    (verdict is None or self._verdicts[number] == verdict)
                    and n_tokens >= wanted.min_tokens
                    and (most is None or n_tokens <= most)
                    and (wanted.part is None or self._has_part(number, wanted))
                ):
                    yield number

    def _numbers(self, group: int) -> range:
        last = self._firsts[group + 1] if group + 1 < self.n_groups else len(self)
        return range(self._firsts[group], last)

    def _fitting_groups(self, wanted: RolloutFilter) -> Iterator[int]:
        problems = {
            index
            for index, problem in enumerate(self.problems)
            if wanted.problem in (None, problem.id)
            and wanted.task in (None, problem.task)
            and wanted.language in (None, problem.language)
        }
        stage = None if wanted.stage is None else self._stage_numbers.get(wanted.stage, -1)
        for group in range(self.n_groups):
            if (
                (stage is None or self._stages[group] == stage)
                and (wanted.step is None or self._steps[group] == wanted.step)
                and self._problems[group] in problems
            ):
                yield group

    def steps(self, wanted: RolloutFilter) -> list[tuple[int, int, int, int]]:
        """Return (step, right, wrong, undecided) of each step that has fitting rollouts."""
        counts: dict[int, list[int]] = {}
        for number in self._fitting(wanted):
            at = counts.setdefault(self._steps[self._groups[number]], [0, 0, 0])
            at[self._verdicts[number]] += 1
        ordered = sorted(counts.items(), key=lambda item: (item[0] == END, item[0]))
        return [(step, right, wrong, open_) for step, (open_, wrong, right) in ordered]

    def row(self, number: int) -> dict[str, Any]:
        """Return the numbers of a rollout, its group and the beginning of its question."""
        group = self._groups[number]
        problem = self.problems[self._problems[group]]
        return {
            "number": number,
            "group": group,
            "place": number - self._firsts[group],
            "stage": self.stages[self._stages[group]],
            "step": None if self._steps[group] == END else self._steps[group],
            "verdict": _VERDICTS[self._verdicts[number]],
            "n_tokens": self._tokens[number],
            "score": self._scores[number],
            "problem": problem.id,
            "question": problem.question,
            "task": problem.task,
            "language": problem.language,
        }

    def number(self, group: int, place: int) -> int:
        """Return the number of a rollout of a group."""
        return self._firsts[group] + place

    def record(self, group: int) -> dict[str, Any] | None:
        """Read a group from the file; None if there is no such group, or it is damaged by now."""
        if not 0 <= group < self.n_groups:
            return None
        with self._file.path.open("rb") as file:
            file.seek(self._offsets[group])
            return parsed_line(file.read(self._lengths[group]))

    def rollouts(self, wanted: RolloutFilter) -> Iterator[tuple[int, list[int]]]:
        """Yield each group with fitting rollouts, and their places in it."""
        group, places = -1, list[int]()
        for number in self._fitting(wanted):
            if self._groups[number] != group:
                if places:
                    yield group, places
                group, places = self._groups[number], []
            places.append(number - self._firsts[group])
        if places:
            yield group, places


def score(rollout: dict[str, Any]) -> float:
    """Return the reward of a recorded rollout; of older records the sum of its parts."""
    total, parts = rollout.get("total"), rollout.get("reward")
    if type(total) is float and math.isfinite(total):
        return total
    parts = parts if isinstance(parts, dict) else {}
    values = [total] if isinstance(total, (int, float)) else parts.values()
    try:
        value = float(sum(value for value in values if isinstance(value, (int, float))))
    except OverflowError:
        return 0.0
    return value if math.isfinite(value) else 0.0
