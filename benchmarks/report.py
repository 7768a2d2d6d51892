"""Formatting of the raw times as a Markdown table. Standard library only.

Useful operations are counted alike for every contender: 2 x parameters per completion token for
sampling, 6 x for learning, so 8 x for a whole step; attention, prompts and padding are not counted.
"""

from __future__ import annotations

from statistics import median
from typing import Any

Record = dict[str, Any]
OPERATIONS = {"sample": 2, "step": 8}
"""operations per parameter and completion token"""
TITLES = {"sample": "Sampling alone", "step": "A whole GRPO step"}
OURS = {"sample": ("r1kit-sample", "r1kit-sample-bf16"), "step": ("r1kit-step", "r1kit-step-bf16")}
"""what is timed → r1kit's contenders, the fastest of which is compared with all others"""


def markdown(record: Record) -> str:
    """Return the page of one benchmark."""
    environment, work = record["environment"], record["work"]
    peak = best_peak(record)
    lines = [
        f"# {environment['date']}: {environment['cores']} cores of {environment['cpu']}",
        "",
        f"{work['problems']} problems x {work['completions']} completions of at most "
        f"{work['max_tokens']} tokens, T = 1; model: {work['model']}. "
        "Medians (smallest to largest).",
        "",
        f"Versions: {_versions(environment['ours'])}; peers: {_versions(environment['peers'])}. "
        f"Others used {environment['busy_before']:.0%} of the machine before the start.",
        "",
        "| square products | GFLOP/s |",
        "|---|---|",
    ]
    for peaks in _of(record, "peak"):
        lines.append(f"| {peaks['label']} | {_spread([run['gflops'] for run in peaks['runs']])} |")
    for what in ("sample", "step"):
        lines += ["", *_table(record, what, peak)]
    lines += [
        "",
        "Of peak: 2 x parameters x completion tokens for sampling, 8 x for a step (2 sampling, "
        "6 learning), per second, over the best GEMM rate above.",
    ]
    return "\n".join(lines) + "\n"


def best_peak(record: Record) -> float | None:
    """Return GFLOP/s, the largest median over the ways to use all cores."""
    rates = [median(run["gflops"] for run in c["runs"]) for c in _of(record, "peak") if c["runs"]]
    return max(rates, default=None)


def tokens_per_s(contender: Record) -> list[float]:
    return [run["tokens"] / run["seconds"] for run in contender["runs"]]


def _table(record: Record, what: str, peak: float | None) -> list[str]:
    racers = _of(record, what)
    ours = max(
        (median(tokens_per_s(c)) for c in racers if c["name"] in OURS[what] and c["runs"]),
        default=None,
    )
    lines = [
        f"| {TITLES[what]} | completion tokens/s | seconds | tokens per completion | of peak "
        "| r1kit is |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [_row(racer, record["work"], ours, peak) for racer in racers]


def _row(racer: Record, work: Record, ours: float | None, peak: float | None) -> str:
    if not racer["runs"]:
        return f"| {racer['label']} | failed: `{racer['error'] or 'no run'}` | | | | |"
    rates = tokens_per_s(racer)
    rate = median(rates)
    n_completions = work["problems"] * work["completions"]
    length = median(run["tokens"] for run in racer["runs"]) / n_completions
    gflops = OPERATIONS[racer["what"]] * racer["about"]["parameters"] * rate / 1e9
    cells = [
        racer["label"],
        _spread(rates),
        f"{median(run['seconds'] for run in racer['runs']):.2f}",
        f"{length:.0f}",
        f"{gflops / peak:.0%}" if peak else "",
        f"{ours / rate:.1f}x" if ours and racer["name"] not in OURS[racer["what"]] else "",
    ]
    return f"| {' | '.join(cells)} |"


def _of(record: Record, what: str) -> list[Record]:
    return [contender for contender in record["contenders"] if contender["what"] == what]


def _spread(values: list[float]) -> str:
    if not values:
        return "failed"
    return f"{median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
