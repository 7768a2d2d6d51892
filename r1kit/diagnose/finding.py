"""Findings, the input of the rules, and helpers they share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from r1kit.diagnose.settings import Settings

StepMetrics = Sequence[dict[str, Any]]
Severity = Literal["fine", "note", "warning"]

RECENT = 10
"""number of steps at the end (or start) that are averaged"""


@dataclass(frozen=True)
class Finding:
    """A finding, in one language: `Finding("warning", "zero", "kl", "KL blew up", ...)`."""

    level: Severity
    stage: str
    kind: str
    """what is found, the same in every language: `few_groups`"""
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
        self,
        level: Severity,
        kind: str,
        cause: str | None = None,
        action: str | None = None,
        **values: Any,
    ) -> Finding:
        """Return a finding about this stage; None takes the only cause or action of its kind.

        `values` are the numbers of its observation.
        """
        return Finding(
            level,
            self.name,
            kind,
            title=self.say(f"{kind}.title"),
            observation=self.say(f"{kind}.seen", **values),
            cause=self.say(f"{kind}.cause") if cause is None else cause,
            action=self.say(f"{kind}.action") if action is None else action,
        )

    def say(self, key: str, **values: Any) -> str:
        """Return a text in the reader's language (finding_texts.py)."""
        return self.settings.words[key].format(**values)

    def advise(self, *options: str) -> str:
        """Join the non-empty options into one sentence: `Raise a, raise b, or lower c.`"""
        words = self.settings.words
        *others, last = [option for option in options if option] or [words["do.easier"]]
        text = words["join.or"].join([words["join.comma"].join(others), last] if others else [last])
        text = words["join.advice"].format(text)
        return f"{text[0].upper()}{text[1:]}"

    def recent(self, key: str) -> float | None:
        """Return the mean over the last steps that have a number under `key`."""
        return mean(first_numbers(reversed(self.rows), key))

    def early(self, key: str) -> float | None:
        """Return the mean over the first steps that have a number under `key`."""
        return mean(first_numbers(self.rows, key))


Rule = Callable[[StageRun], Finding | None]


def numbers(rows: StepMetrics, key: str) -> list[float]:
    """Return the numbers under `key`, in the order of the steps."""
    return list(_each_number(rows, key))


def first_numbers(rows: Iterable[dict[str, Any]], key: str) -> list[float]:
    """Return the first RECENT numbers under `key`; of a long stage the other rows are not read."""
    return list(islice(_each_number(rows, key), RECENT))


def _each_number(rows: Iterable[dict[str, Any]], key: str) -> Iterator[float]:
    return (value for row in rows if isinstance(value := row.get(key), (int, float)))


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None for an empty sequence."""
    return statistics.fmean(values) if values else None


def lower_learning_rate(settings: Settings) -> str:
    """Advise to divide the learning rates in use by three and to train the stage again."""
    is_muon = settings.get("optim.optimizer") == "muon"
    keys = ["optim.lr", *(["optim.muon_lr"] if is_muon else [])]
    rates = []
    for key in keys:
        rate, name = settings.get(key), settings.name(key)
        change = settings.words["setting.change"]
        rates.append(change.format(name=name, before=rate, after=rate / 3) if rate else name)
    return settings.words["do.lower_rates"].format(rates=settings.words["join.and"].join(rates))


def easier_or_stronger(settings: Settings) -> tuple[str, str]:
    """Return two ways to raise accuracy: easier problems and a better base; either may be ''."""
    level, tokens, words = settings.level, settings.pretraining, settings.words
    easier = words["do.lower_level"].format(level=level) if level and level > 1 else ""
    return easier, words["do.raise"].format(setting=tokens) if tokens else words["do.stronger"]
