"""A run explains itself: from metrics to findings in plain words.

Each rule is a pure function of one unit's metrics and settings. A finding says what was seen with
its numbers, the likely cause and what to do next, by settings that the recipe has. The thresholds
are ours, from runs that went wrong (docs/log.md); the questions are those people ask when they post
a curve: is this normal, and if not, why?
"""

from __future__ import annotations

from typing import Any

from r1kit.diagnose.finding import RECENT, Finding, StageRun, StepMetrics
from r1kit.diagnose.rl import RL_RULES
from r1kit.diagnose.settings import settings_of
from r1kit.diagnose.supervised import SUPERVISED_RULES

__all__ = ["Finding", "diagnose"]


def diagnose(metrics: StepMetrics, recipe: dict[str, Any]) -> list[Finding]:
    """Findings about every unit, warnings first; a unit without a warning is called healthy.

    `recipe` is the resolved recipe, as in recipe.json.
    """
    findings: list[Finding] = []
    for unit in dict.fromkeys(row["stage"] for row in metrics):
        rows = [row for row in metrics if row["stage"] == unit]
        findings += _diagnose_unit(StageRun(unit, rows, settings_of(recipe, unit)))
    order = ("warning", "fine", "note")
    return sorted(findings, key=lambda finding: order.index(finding.level))


def _diagnose_unit(stage: StageRun) -> list[Finding]:
    rules = RL_RULES if any("reward" in row for row in stage.rows) else SUPERVISED_RULES
    comparable = StageRun(stage.unit, _since_last_new_task(stage.rows), stage.settings)
    findings = [finding for rule in rules if (finding := rule(comparable)) is not None]
    if not any(finding.level == "warning" for finding in findings):
        seen = f"{len(stage.rows)} steps, none of {len(rules)} known troubles."
        findings.append(stage.finding("fine", "Healthy", seen, "", ""))
    return findings


def _since_last_new_task(rows: StepMetrics) -> StepMetrics:
    """The rows since the last task joined the mixture: other problems have another accuracy."""
    first_place: dict[str, int] = {}
    for place, row in enumerate(rows):
        for key in row:
            if key.startswith("accuracy/"):
                first_place.setdefault(key, place)
    late = [place for place in first_place.values() if place > RECENT]
    return rows[max(late, default=0) :]
