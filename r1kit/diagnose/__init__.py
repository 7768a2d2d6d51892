"""Diagnosis of a run: plain-language findings from its metrics.

Each rule is a pure function of one stage's metrics and settings. A finding states the observation
with its numbers, the likely cause, and the recipe settings to change. The thresholds are our own,
from runs that went wrong (docs/log.md). The rules answer the question users ask when they post a
curve: is this normal, and if not, why?
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from r1kit.diagnose.finding import RECENT, Finding, StageRun, StepMetrics
from r1kit.diagnose.rl import RL_RULES
from r1kit.diagnose.settings import settings_of
from r1kit.diagnose.supervised import SUPERVISED_RULES

__all__ = ["Finding", "diagnose"]


def diagnose(metrics: StepMetrics, recipe: dict[str, Any], language: str = "en") -> list[Finding]:
    """Return findings about every stage, warnings first; one without warnings is called healthy.

    `recipe` is the resolved recipe, as in recipe.json; `language` is one of FINDING_TEXTS.
    """
    findings: list[Finding] = []
    for name in dict.fromkeys(row["stage"] for row in metrics):
        rows = [row for row in metrics if row["stage"] == name]
        findings += _diagnose_stage(StageRun(name, rows, settings_of(recipe, name, language)))
    order = ("warning", "fine", "note")
    return sorted(findings, key=lambda finding: order.index(finding.level))


def _diagnose_stage(stage: StageRun) -> list[Finding]:
    rules = RL_RULES if any("reward" in row for row in stage.rows) else SUPERVISED_RULES
    comparable = StageRun(stage.name, _since_last_new_task(stage.rows), stage.settings)
    findings = [finding for rule in rules if (finding := rule(comparable)) is not None]
    if not any(finding.level == "warning" for finding in findings):
        n, n_rules = len(stage.rows), len(rules)
        findings.append(stage.finding("fine", "healthy", "", "", n=n, n_rules=n_rules))
    return findings


def _since_last_new_task(rows: StepMetrics) -> StepMetrics:
    """Return the rows since the last task joined: accuracy on other problems is not comparable."""
    first_index: dict[str, int] = {}
    keys: Set[str] = frozenset()
    for index, row in enumerate(rows):
        if row.keys() == keys:
            continue
        keys = row.keys()
        for key in keys:
            if key.startswith("accuracy/"):
                first_index.setdefault(key, index)
    late = [index for index in first_index.values() if index > RECENT]
    return rows[max(late, default=0) :]
