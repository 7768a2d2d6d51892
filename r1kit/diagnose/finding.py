"""Findings, the input of the rules, and helpers they share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from r1kit.diagnose.settings import Settings

StepMetrics = Sequence[dict[str, Any]]
Severity = Literal["fine", "note", "warning"]

RECENT = 10
"""number of steps at the end (or start) that are averaged"""


@dataclass(frozen=True)
class Finding:
    """A finding: `Finding("warning", "zero", "Few groups teach", observation, cause, action)`."""

    level: Severity
    stage: str
    title: str
    observation: str
    cause: str
    action: str


@dataclass(frozen=True)
class StageRun:
    """A stage of a run as input of the rules: its metrics per step, and its settings."""

    name: str
    rows: StepMetrics
    settings: Settings

    def finding(
        self, level: Severity, title: str, observation: str, cause: str, action: str
    ) -> Finding:
        """Return a finding about this stage."""
        return Finding(level, self.name, title, observation, cause, action)

    def recent(self, key: str) -> float | None:
        """Return the mean over the last steps that have a number under `key`."""
        return mean(numbers(self.rows, key)[-RECENT:])

    def early(self, key: str) -> float | None:
        """Return the mean over the first steps that have a number under `key`."""
        return mean(numbers(self.rows, key)[:RECENT])


Rule = Callable[[StageRun], Finding | None]


def numbers(rows: StepMetrics, key: str) -> list[float]:
    """Return the numbers under `key`, in the order of the steps."""
    return [row[key] for row in rows if isinstance(row.get(key), (int, float))]


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None for an empty sequence."""
    return statistics.fmean(values) if values else None


def advice(*options: str) -> str:
    """Join the non-empty options into one sentence: `Raise a, raise b, or lower c.`"""
    *others, last = [option for option in options if option] or ["Ask for easier problems"]
    text = f"{', '.join(others)}, or {last}" if others else last
    return f"{text[0].upper()}{text[1:]}."


def lower_learning_rate(settings: Settings) -> str:
    """Advise to divide the learning rates in use by three and to train the stage again."""
    is_muon = settings.get("optim.optimizer") == "muon"
    keys = ["optim.lr", *(["optim.muon_lr"] if is_muon else [])]
    rates = []
    for key in keys:
        rate = settings.get(key)
        change = f" ({rate:g} → {rate / 3:.1g})" if rate else ""
        rates.append(f"{settings.name(key)}{change}")
    return f"Lower {' and '.join(rates)} by a factor of three, and train the stage again."


def easier_or_stronger(settings: Settings) -> tuple[str, str]:
    """Return two ways to raise accuracy: easier problems and a better base; either may be ''."""
    level, tokens = settings.level, settings.pretraining
    easier = f"lower the level of [[tasks]] (now {level})" if level and level > 1 else ""
    stronger = f"raise {tokens}" if tokens else "start from a stronger base (model.path)"
    return easier, stronger
