"""The metrics of a stage as columns of numbers, a tenth of the memory of its lines."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Set
from operator import itemgetter
from typing import Any

MISSING, NOT_FINITE = math.nan, math.inf
"""stand for a metric that a line lacks, and for one that is null: NaN or infinite"""
MAX_COLUMNS = 500


class MetricColumns:
    """The metrics of one stage, in the order of its steps."""

    def __init__(self) -> None:
        self.steps: array[int] = array("q")
        self._columns: dict[str, array[float]] = {}
        self._last_keys: Set[str] = frozenset()
        self._pick: Callable[[dict[str, Any]], tuple[Any, ...]] | None = None
        """takes the values of a line in the order of the columns"""
        self._late: array[float] = array("d")
        """lines with a number in every column, one after the other, not yet in the columns"""

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def names(self) -> list[str]:
        """Names of the metrics, in the order in which they appeared."""
        return list(self._columns)

    def append(self, line: dict[str, Any]) -> None:
        """Add a line of metrics.jsonl; one whose step is not after the last step is ignored."""
        step = line["step"]
        if self.steps and step <= self.steps[-1]:
            return
        if line.keys() == self._last_keys and self._append_alike(line):
            return
        self._settle()
        self._last_keys, self._pick = line.keys(), None
        for name, value in line.items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if name in ("stage", "step") or not (is_number or value is None):
                continue
            if name not in self._columns:
                if len(self._columns) == MAX_COLUMNS:
                    continue
                self._columns[name] = array("d", [MISSING]) * len(self.steps)
            self._columns[name].append(_number(value))
        self.steps.append(step)
        for column in self._columns.values():
            if len(column) < len(self.steps):
                column.append(MISSING)

    def _append_alike(self, line: dict[str, Any]) -> bool:
        """Add a line with the keys of the one before; False if it is not numbers in all columns."""
        names = self._columns.keys()
        if self._pick is None:
            if len(names) < 2 or len(line) != len(names) + 2 or not names <= line.keys():
                return False
            self._pick = itemgetter(*names)
        values = self._pick(line)
        try:
            numbers = array("d", values)
        except (TypeError, OverflowError):
            return False
        if bool in map(type, values) or not math.isfinite(sum(numbers)):
            return False
        self.steps.append(line["step"])
        self._late.extend(numbers)
        return True

    def _settle(self) -> None:
        """Move the late lines into the columns, which is a tenth of the work of one by one."""
        if self._late:
            late, self._late = self._late, array("d")
            for index, column in enumerate(self._columns.values()):
                column.extend(late[index :: len(self._columns)])

    def _column(self, name: str) -> array[float]:
        self._settle()
        return self._columns.get(name, array("d"))

    def series(self, name: str) -> tuple[list[int], list[float | None]]:
        """Return the steps that have the metric and its values; None where it was not finite."""
        column = self._column(name)
        if _is_whole(column):  # the usual case, in a fifth of the time
            return self.steps.tolist()[: len(column)], list(column)
        pairs = [
            (step, value) for step, value in zip(self.steps, column, strict=False) if value == value
        ]
        values = [None if math.isinf(value) else value for _, value in pairs]
        return [step for step, _ in pairs], values

    def recent(self, name: str, n: int = 1) -> float | None:
        """Return the mean of the last `n` finite values of a metric; None without any."""
        recent: list[float] = []
        for value in reversed(self._column(name)):
            if math.isfinite(value):
                recent.append(value)
            if len(recent) == n:
                break
        return math.fsum(recent) / len(recent) if recent else None

    def largest(self, name: str) -> float | None:
        """Return the largest finite value of a metric."""
        return max(filter(math.isfinite, self._column(name)), default=None)

    def rows(self, stage: str) -> Iterator[dict[str, Any]]:
        """Yield the lines again, as the diagnosis reads them."""
        self._settle()
        whole = {name: column for name, column in self._columns.items() if _is_whole(column)}
        others = {name: self._columns[name] for name in self._columns.keys() - whole.keys()}
        names = ("step", *whole)
        for index, values in enumerate(zip(self.steps, *whole.values(), strict=True)):
            row: dict[str, Any] = {"stage": stage, **dict(zip(names, values, strict=True))}
            for name, column in others.items():
                value = column[index]
                if value == value:
                    row[name] = None if math.isinf(value) else value
            yield row


def _is_whole(column: array[float]) -> bool:
    return all(map(math.isfinite, column))


def _number(value: float | None) -> float:
    try:
        number = NOT_FINITE if value is None else float(value)
    except OverflowError:  # an integer of hundreds of digits
        return NOT_FINITE
    return NOT_FINITE if number != number else number
