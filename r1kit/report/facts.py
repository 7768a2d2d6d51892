"""The content of a report, computed once, independent of its format."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from r1kit import claims
from r1kit.console.formatting import duration
from r1kit.diagnose import Finding, diagnose
from r1kit.report.tables import Table, tables
from r1kit.report.translate import ENGLISH, Translator
from r1kit.runs.run_reader import RunContents
from r1kit.runs.stage_specs import STAGES, is_main

HOUR_S = 3600.0
MARKS = {True: "✓", False: "✗", "undecided": "?"}
"""symbols of a claim that holds, one that does not, and one that is undecided"""


@dataclass(frozen=True)
class ClaimLine:
    """A claim of the paper, and whether this run confirms it."""

    mark: str
    claim: str
    ours: str
    paper: str
    rule: str


@dataclass(frozen=True)
class MachineCost:
    """The machine time of a run: `MachineCost("core", 2, 0.8, "0.032 USD at 0.04 a core-hour")`."""

    unit: str
    n_units: int
    hours: float
    """units times hours"""
    money: str


@dataclass(frozen=True)
class ShownCompletion:
    """A completion as the report shows it."""

    stage: str
    text: str
    correct: bool | None
    why: str
    reward: dict[str, float]
    n_tokens: int
    finish: str


@dataclass(frozen=True)
class Comparison:
    """The completions of several stages for the same question."""

    question: str
    gold: str
    completions: list[ShownCompletion]


@dataclass(frozen=True)
class Facts:
    """The whole content of a report, before formatting."""

    language: str
    name: str
    promise: str
    tables: list[Table]
    claims: list[ClaimLine]
    findings: list[Finding]
    prompts: list[tuple[str, str]]
    """(stages, a question as their models read it), each different prompt once"""
    costs: list[tuple[str, str]]
    comparisons: list[Comparison]
    groups: list[dict[str, Any]]
    environment: list[tuple[str, str]]
    command: str


def gather(evidence: RunContents, language: str = "en") -> Facts:
    """Collect the content of a report, in a language, from a run folder."""
    stages = evidence.results.get("stages", {})
    t = Translator(language)
    return Facts(
        language=language,
        name=evidence.manifest.get("name", evidence.path.name),
        promise=promise(stages, t),
        tables=tables([evidence], t),
        claims=[claim_line(row, t) for row in claims.table([evidence])],
        findings=together(diagnose(evidence.metrics, evidence.recipe, language)),
        prompts=prompts(stages),
        costs=costs(evidence, t),
        comparisons=comparisons(evidence.samples),
        groups=[record for record in evidence.samples if record.get("kind") == "group"],
        environment=environment(evidence, t),
        command=command(evidence),
    )


def promise(stages: dict[str, Any], t: Translator = ENGLISH) -> str:
    """Return `pass@1 14 % → 88 %, completions 3.1x as long, 6.0x as many reflection words.`"""
    pair = _first_and_last(stages)
    if pair is None:
        names = ", ".join(stages) or t("nothing yet")
        return t("Measured so far: {names}.", names=names)
    before, after = pair
    parts = [f"pass@1 {_percent(before['pass_at_1'])} → {_percent(after['pass_at_1'])}"]
    if before.get("mean_tokens"):
        times = after["mean_tokens"] / before["mean_tokens"]
        parts.append(t("completions {times:.1f}x as long", times=times))
    if before.get("mean_reflections"):
        times = after["mean_reflections"] / before["mean_reflections"]
        parts.append(t("{times:.1f}x as many reflection words", times=times))
    return t("{parts}.", parts=t(", ").join(parts))


def claim_line(row: dict[str, Any], t: Translator = ENGLISH) -> ClaimLine:
    """Format a row of the claims table for display."""
    number = f"{row['value']:.1f} ± {row['stderr']:.1f} {t(row['unit'])}"
    paper = t("{paper} (section {section})", paper=t(row["paper"]), section=row["section"])
    return ClaimLine(MARKS[row["holds"]], t(row["claim"]), number, paper, t(row["rule"]))


def together(findings: Iterable[Finding]) -> list[Finding]:
    """Merge equal findings of several stages into one, except for warnings."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        is_alone = finding.level == "warning"
        key = (finding.level, finding.kind, finding.stage if is_alone else "")
        groups.setdefault(key, []).append(finding)
    return [
        replace(
            first,
            stage=", ".join(dict.fromkeys(item.stage for item in (first, *others))),
            observation="" if others else first.observation,
        )
        for first, *others in groups.values()
    ]


def prompts(stages: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each different prompt with the names of its stages."""
    names: dict[str, list[str]] = {}
    for name, result in stages.items():
        if prompt := result.get("prompt"):
            names.setdefault(prompt, []).append(name)
    return [(", ".join(those), prompt) for prompt, those in names.items()]


def costs(evidence: RunContents, t: Translator = ENGLISH) -> list[tuple[str, str]]:
    """Return tokens, machine time and money."""
    n_trained = _total(evidence, "n_trained_tokens")
    n_sampled = _total(evidence, "n_completion_tokens")
    seconds = sum(evidence.clock.values())
    bill = priced(evidence.recipe, evidence.manifest, seconds, t)
    amount = "{hours:.2f} ({n} GPUs)" if bill.unit == "GPU" else "{hours:.2f} ({n} cores)"
    rows = [
        (t("tokens trained on"), f"{n_trained:,.0f}"),
        (t("tokens sampled in RL"), f"{n_sampled:,.0f}"),
        *((t("time of {stage}", stage=stage), duration(spent))
          for stage, spent in evidence.clock.items()),
        (t("wall clock"), duration(seconds)),
        (t(f"{bill.unit}-hours"), t(amount, hours=bill.hours, n=bill.n_units)),
        (t("money"), bill.money),
    ]  # fmt: skip
    peaks = {
        key: max(row[key] or 0.0 for row in evidence.metrics if key in row)
        for key in sorted({k for row in evidence.metrics for k in row if k.startswith("memory/")})
    }
    return rows + [(key.removeprefix("memory/"), f"{value:,.0f}") for key, value in peaks.items()]


def priced(
    recipe: Mapping[str, Any],
    manifest: Mapping[str, Any],
    seconds: float,
    t: Translator = ENGLISH,
) -> MachineCost:
    """Return the hours of GPUs or cores that a run has taken, and their price by its `[cost]`."""
    prices = recipe.get("cost", {})
    gpus, cores = _machines(recipe, manifest)
    unit, n_units, key = ("GPU", gpus, "gpu_hour") if gpus else ("core", cores, "core_hour")
    hours, price = n_units * seconds / HOUR_S, prices.get(key, 0.0)
    money = t(
        f"{{money}} {{currency}} at {{price:g}} a {unit}-hour",
        money=f"{hours * price:.4f}",
        currency=prices.get("currency", ""),
        price=price,
    )
    return MachineCost(unit, n_units, hours, money)


def comparisons(samples: Iterable[dict[str, Any]]) -> list[Comparison]:
    """Group the showcase records of the main path by question."""
    by_question: dict[str, Comparison] = {}
    for record in main_showcase(samples):
        question = record["question"]
        new = Comparison(question, str(record.get("gold", "")), [])
        comparison = by_question.setdefault(question, new)
        comparison.completions.append(shown_completion(record, record["stage"]))
    return list(by_question.values())


def main_showcase(samples: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the showcase records of the stages from the base to R1."""
    return [
        record
        for record in samples
        if record.get("kind") == "showcase" and is_main(record["stage"])
    ]


def shown_completion(record: dict[str, Any], stage: str = "") -> ShownCompletion:
    """Convert a rollout record, filling in missing values."""
    return ShownCompletion(
        stage=stage,
        text=record["text"],
        correct=record.get("correct"),
        why=str(record.get("why", "")),
        reward=record.get("reward") or {},
        n_tokens=record.get("n_tokens") or 0,
        finish=record.get("finish", ""),
    )


def environment(evidence: RunContents, t: Translator = ENGLISH) -> list[tuple[str, str]]:
    """Describe hardware and software of the run; of several sessions, the last."""
    manifest = evidence.manifest
    last = manifest["sessions"][-1] if manifest["sessions"] else {}
    keys = ("r1kit", "git_commit", "torch", "transformers", "python", "platform", "cpu_count")
    rows = [(key.replace("_", " "), str(last.get(key))) for key in keys]
    rows.append(("gpus", ", ".join(last.get("gpus") or []) or t("none")))
    rows.append(("seed", str(manifest.get("seed"))))
    rows.append(("recipe hash", str(manifest["recipe_hash"])))
    rows.append(("started", str(manifest.get("started"))))
    rows.append(("sessions", str(len(manifest["sessions"]))))
    rows = [(t(name), value) for name, value in rows]
    for entry in manifest["lineage"]:
        parents = (entry.get(key) or "nothing" for key in ("weights_from", "data_from"))
        # The names of stages are those of the recipe in every language.
        weights, data = (name if name in STAGES else t(name) for name in parents)
        sources = t("weights from {weights}, data from {data}", weights=weights, data=data)
        rows.append((entry["stage"], sources))
    return rows


def command(evidence: RunContents) -> str:
    """Return the command that made the run."""
    sessions = evidence.manifest["sessions"]
    return shlex.join(sessions[0]["command"]) if sessions else ""


def _first_and_last(stages: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    results = [
        stage["evals"]["reasoning"]
        for name, stage in stages.items()
        if is_main(name) and "reasoning" in stage["evals"]
    ]
    return (results[0], results[-1]) if len(results) > 1 else None


def _machines(recipe: Mapping[str, Any], manifest: Mapping[str, Any]) -> tuple[int, int]:
    """Return the (GPUs, CPU cores) that the run used, according to its recipe and manifest."""
    compute = recipe.get("compute", {})
    sessions = manifest.get("sessions") or [{}]
    gpus = len(sessions[-1].get("gpus") or []) if compute.get("device") in ("auto", "cuda") else 0
    n_processes = compute.get("n_processes", "auto")
    if gpus:
        return (gpus if n_processes == "auto" else min(gpus, n_processes)), 0
    cores = sessions[-1].get("cpu_count") or 1
    return 0, cores if n_processes == "auto" else n_processes * compute.get("threads", 1)


def _total(evidence: RunContents, key: str) -> float:
    return float(sum(row.get(key) or 0.0 for row in evidence.metrics))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
