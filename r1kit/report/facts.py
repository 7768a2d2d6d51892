"""What a run says about itself, computed once, before anything is laid out."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from r1kit.diagnose import Finding, diagnose
from r1kit.evidence import Evidence
from r1kit.live import duration

HOUR_S = 3600.0
REFLECTION = "reflection words an answer"


@dataclass(frozen=True)
class Stage:
    """One row of the table of stages."""

    name: str
    pass_at_1: str
    tokens: str
    reflection: str
    language: str
    cut_off: str
    wall: str
    by_task: str


@dataclass(frozen=True)
class Claim:
    """Something the paper reports of R1-Zero, and whether this run shows it."""

    text: str
    is_seen: bool
    numbers: str


@dataclass(frozen=True)
class Answer:
    """One completion, split into its parts."""

    stage: str
    text: str
    correct: bool | None
    why: str
    reward: dict[str, float]
    n_tokens: int
    finish: str


@dataclass(frozen=True)
class Comparison:
    """The answers of several stages to the same question."""

    question: str
    gold: str
    answers: list[Answer]


@dataclass(frozen=True)
class Facts:
    """The whole report, before it has a form."""

    name: str
    promise: str
    stages: list[Stage]
    claims: list[Claim]
    findings: list[Finding]
    costs: list[tuple[str, str]]
    comparisons: list[Comparison]
    groups: list[dict[str, Any]]
    environment: list[tuple[str, str]]
    command: str


def gather(evidence: Evidence) -> Facts:
    """All a report needs, from the run folder alone."""
    stages = evidence.results.get("stages", {})
    return Facts(
        name=evidence.manifest.get("name", evidence.path.name),
        promise=promise(stages),
        stages=[stage_row(name, result) for name, result in stages.items()],
        claims=claims(stages),
        findings=diagnose(evidence.metrics, evidence.recipe),
        costs=costs(evidence),
        comparisons=comparisons(evidence.samples),
        groups=[record for record in evidence.samples if record.get("kind") == "group"],
        environment=environment(evidence),
        command=command(evidence),
    )


def promise(stages: dict[str, Any]) -> str:
    """`pass@1 14 % → 88 %, answers 3.1x as long, 6.0x as many reflection words.`"""
    pair = _first_and_last(stages)
    if pair is None:
        done = ", ".join(stages) or "nothing yet"
        return f"Measured so far: {done}."
    before, after = pair
    parts = [f"pass@1 {_percent(before['pass_at_1'])} → {_percent(after['pass_at_1'])}"]
    if before.get("mean_tokens"):
        parts.append(f"answers {after['mean_tokens'] / before['mean_tokens']:.1f}x as long")
    if before.get("reflection_per_answer"):
        times = after["reflection_per_answer"] / before["reflection_per_answer"]
        parts.append(f"{times:.1f}x as many reflection words")
    return ", ".join(parts) + "."


def stage_row(name: str, result: dict[str, Any]) -> Stage:
    """A stage's results as people read them."""
    error = 100 * result.get("stderr", 0.0)
    tasks = result.get("by_task", {})
    return Stage(
        name=name,
        pass_at_1=f"{100 * result['pass_at_1']:.1f} ± {error:.1f} %",
        tokens=f"{result['mean_tokens']:.1f}",
        reflection=f"{result['reflection_per_answer']:.2f}",
        language=_percent(result["language_consistency"]),
        cut_off=_percent(result["truncated"]),
        wall=duration(result["wall_s"]),
        by_task=" · ".join(f"{task} {_percent(value)}" for task, value in tasks.items()),
    )


def claims(stages: dict[str, Any]) -> list[Claim]:
    """The four things R1-Zero showed, each with this run's numbers."""
    pair = _first_and_last(stages)
    if pair is None:
        return []
    before, after = pair
    gain = after["pass_at_1"] - before["pass_at_1"]
    error = (before.get("stderr", 0.0) ** 2 + after.get("stderr", 0.0) ** 2) ** 0.5
    told = f"{_percent(before['pass_at_1'])} → {_percent(after['pass_at_1'])}"
    mixing = after["language_consistency"]
    return [
        Claim(
            "Accuracy climbs from reward alone",
            gain > 2 * error,
            f"{told}: {100 * gain:+.1f} points, standard error {100 * error:.1f}",
        ),
        _growth("Thinking grows", before, after, "mean_tokens", 1.2, "tokens"),
        _growth("It reflects more", before, after, "reflection_per_answer", 1.5, REFLECTION),
        Claim(
            "Languages stay mixed (what the later stages are for)",
            mixing < 0.95,
            f"{_percent(before['language_consistency'])} → {_percent(mixing)} of the thinking is "
            "in the question's language",
        ),
    ]


def costs(evidence: Evidence) -> list[tuple[str, str]]:
    """Tokens, machine time and money."""
    trained, sampled = _total(evidence, "n_tokens"), _total(evidence, "n_completion_tokens")
    seconds = sum(evidence.clock.values())
    prices = evidence.recipe.get("cost", {})
    gpus, cores = _machines(evidence)
    units, price, unit = (
        (gpus, prices.get("gpu_hour", 0.0), "GPU")
        if gpus
        else (cores, prices.get("core_hour", 0.0), "core")
    )
    money = units * seconds / HOUR_S * price
    rows = [
        ("tokens pretrained on", f"{trained:,.0f}"),
        ("tokens sampled in RL", f"{sampled:,.0f}"),
        ("wall clock", duration(seconds)),
        (f"{unit}-hours", f"{units * seconds / HOUR_S:.2f} ({units} {unit}s)"),
        ("money", f"{money:.4f} {prices.get('currency', '')} at {price:g} a {unit}-hour"),
    ]
    peaks = {
        key: max(row[key] or 0.0 for row in evidence.metrics if key in row)
        for key in sorted({k for row in evidence.metrics for k in row if k.startswith("memory/")})
    }
    return rows + [(key.removeprefix("memory/"), f"{value:,.0f}") for key, value in peaks.items()]


def comparisons(samples: Iterable[dict[str, Any]]) -> list[Comparison]:
    """Showcase records, by question."""
    found: dict[str, Comparison] = {}
    for record in samples:
        if record.get("kind") == "showcase":
            question = record["question"]
            new = Comparison(question, str(record.get("gold", "")), [])
            found.setdefault(question, new).answers.append(answer(record, record["stage"]))
    return list(found.values())


def answer(record: dict[str, Any], stage: str = "") -> Answer:
    """A rollout record, with what may be missing filled in."""
    return Answer(
        stage=stage,
        text=record["text"],
        correct=record.get("correct"),
        why=str(record.get("why", "")),
        reward=record.get("reward") or {},
        n_tokens=record.get("n_tokens") or 0,
        finish=record.get("finish", ""),
    )


def environment(evidence: Evidence) -> list[tuple[str, str]]:
    """Where and with what it ran; of several sessions, the last."""
    manifest = evidence.manifest
    last = manifest["sessions"][-1] if manifest["sessions"] else {}
    keys = ("r1kit", "git_commit", "torch", "transformers", "python", "platform", "cpu_count")
    rows = [(key.replace("_", " "), str(last.get(key))) for key in keys]
    rows.append(("gpus", ", ".join(last.get("gpus") or []) or "none"))
    rows.append(("seed", str(manifest.get("seed"))))
    rows.append(("recipe hash", str(manifest["recipe_hash"])))
    rows.append(("started", str(manifest.get("started"))))
    rows.append(("sessions", str(len(manifest["sessions"]))))
    for entry in manifest["lineage"]:
        told = f"weights from {entry.get('weights_from') or 'nothing'}"
        rows.append((entry["stage"], f"{told}, data from {entry.get('data_from') or 'nothing'}"))
    return rows


def command(evidence: Evidence) -> str:
    """The command that made the run."""
    sessions = evidence.manifest["sessions"]
    return shlex.join(sessions[0]["command"]) if sessions else ""


def _first_and_last(stages: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    names = list(stages)
    return (stages[names[0]], stages[names[-1]]) if len(names) > 1 else None


def _growth(
    text: str, before: dict[str, Any], after: dict[str, Any], key: str, least: float, unit: str
) -> Claim:
    """Seen when it grew `least` times, by more than two standard errors of a count."""
    old, new = before[key], after[key]
    noise = sum(
        result[key] / max(1, result.get("n_problems", 1) * result.get("samples", 1))
        for result in (before, after)
    )
    is_seen = new >= least * old and new - old > 2 * noise**0.5
    times = f" ({new / old:.1f}x)" if old else ""
    return Claim(text, is_seen, f"{old:.2f} → {new:.2f} {unit}{times}")


def _machines(evidence: Evidence) -> tuple[int, int]:
    """(GPUs, CPU cores) the run used, as far as its recipe and manifest tell."""
    compute = evidence.recipe.get("compute", {})
    sessions = evidence.manifest["sessions"] or [{}]
    gpus = len(sessions[-1].get("gpus") or []) if compute.get("device") in ("auto", "cuda") else 0
    asked = compute.get("n_processes", "auto")
    if gpus:
        return (gpus if asked == "auto" else min(gpus, asked)), 0
    cores = sessions[-1].get("cpu_count") or 1
    return 0, cores if asked == "auto" else asked * compute.get("threads", 1)


def _total(evidence: Evidence, key: str) -> float:
    return float(sum(row.get(key) or 0.0 for row in evidence.metrics))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
