"""Formats text, times, numbers and results for a terminal.

Model output is shown as text: its control characters never reach the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

BLOCKS = "▁▂▃▄▅▆▇█"


def printable(text: str) -> str:
    """Replace characters that could control a terminal (control and direction marks) by `�`."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co")
        else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def duration(seconds: float) -> str:
    """Format seconds: `4:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def value_text(value: float | None, unit: str) -> str:
    """Format a number for display: `52.3 %`, `61.2`, `18.4k/s`."""
    if value is None or value != value:
        return "–"
    if unit == "percent":
        return percent(value)
    if unit == "tokens":
        return f"{value:.1f}"
    if unit == "rate":
        return f"{value / 1000:.1f}k/s" if value >= 1000 else f"{value:.0f}/s"
    if unit == "rank":
        return f"rank {value:.0f}"
    return f"{value:.2f}"


def percent(share: float, stderr: float | None = None) -> str:
    """Format a share: `61.2 ± 1.4 %`."""
    error = "" if stderr is None else f" ± {100 * stderr:.1f}"
    return f"{100 * share:.1f}{error} %"


def sparkline(values: list[float], width: int) -> str:
    """Draw all values as at most `width` block characters, scaled from smallest to largest."""
    clean = [value for value in values if value == value]
    if not clean:
        return ""
    n = min(width, len(clean))
    means = [
        sum(part) / len(part)
        for i in range(n)
        if (part := clean[i * len(clean) // n : (i + 1) * len(clean) // n])
    ]
    low, high = min(means), max(means)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((mean - low) * scale)] for mean in means)


def summary_line(summary: Mapping[str, Any]) -> str:
    """Format a result: `pass@1 14.0 ± 1.7 % · 29.0 tokens · 0.56 reflections · 3:20`."""
    evals = summary.get("evals", {})
    reasoning = evals.get("reasoning", {})
    rates = (("pass@1", "pass_at_1", reasoning), ("held-out accuracy", "accuracy", summary))
    parts = [
        f"{name} {percent(result[key], result.get('stderr', 0.0))}"
        for name, key, result in rates
        if key in result
    ]
    if "mean_tokens" in reasoning:
        parts.append(f"{reasoning['mean_tokens']:.1f} tokens")
    if "mean_reflections" in reasoning:
        parts.append(f"{reasoning['mean_reflections']:.2f} reflections")
    if "general" in evals:
        parts.append(f"general {percent(evals['general']['pass_at_1'])}")
    if "wall_s" in summary:
        parts.append(duration(summary["wall_s"]))
    return " · ".join(parts) or "done"
