"""`r1 eval diff A B`: what differs between two results, and whether the scores really differ.

Scores are compared problem by problem: the question is whether B is better than A on the same
problems. Source: Miller 2024, "Adding error bars to evals", section 4 (paired differences). The
p-value is that of flipping the sign of every difference: exact for few problems, else from the
normal approximation.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from r1kit.console.formatting import percent, printable
from r1kit.errors import ConfigError
from r1kit.evals.result import EvalRecord, names_of
from r1kit.evals.scores import stderr
from r1kit.evals.view import print_table

MAX_EXACT = 16
"""largest number of problems with a difference for which all signs are tried"""
Z_95 = 1.959964
ALPHA = 0.05
SAME_EXAMPLE = ("n_problems", "prompts_hash", "servers")
"""facts that follow from others, or have no influence"""
MAX_SHOWN = 60
"""maximum number of characters of a setting that are shown"""


@dataclass(frozen=True)
class PairedComparison:
    """The difference B - A of pass@1 on the problems that two results share."""

    n_pairs: int
    difference: float
    stderr: float
    p_value: float
    n_better: int
    """number of problems on which B is better"""
    n_worse: int

    @property
    def is_real(self) -> bool:
        """True if chance alone makes such a difference in less than one of 20 cases."""
        return self.p_value < ALPHA


def compare(a: EvalRecord, b: EvalRecord) -> PairedComparison | None:
    """Compare a benchmark of two results; None if they share no decided problem."""
    rates_a, rates_b = _rates(a), _rates(b)
    differences = [rates_b[key] - rates_a[key] for key in rates_a if key in rates_b]
    if not differences:
        return None
    return PairedComparison(
        len(differences),
        statistics.fmean(differences),
        stderr(differences),
        sign_flip_p_value(differences),
        sum(d > 0 for d in differences),
        sum(d < 0 for d in differences),
    )


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Return the share of sign changes whose sum is at least as far from 0 as the real one."""
    changes = [abs(d) for d in differences if d]
    total = abs(sum(differences))
    if not changes:
        return 1.0
    if len(changes) <= MAX_EXACT:
        sums = (
            abs(sum(sign * d for sign, d in zip(signs, changes, strict=True)))
            for signs in itertools.product((1, -1), repeat=len(changes))
        )
        return sum(value >= total - 1e-9 for value in sums) / float(1 << len(changes))
    deviation = math.sqrt(sum(d * d for d in changes))
    return math.erfc(total / deviation / math.sqrt(2))


def other_settings(a: EvalRecord, b: EvalRecord) -> dict[str, tuple[Any, Any]]:
    """Return the facts of the protocol that differ, each with both values."""
    first, second = a["protocol"], b["protocol"]
    names = [*first, *(name for name in second if name not in first)]
    return {
        name: (first.get(name), second.get(name))
        for name in names
        if name not in SAME_EXAMPLE and first.get(name) != second.get(name)
    }


def show_difference(a: EvalRecord, b: EvalRecord, console: Console) -> None:
    """Print what differs between two results. Raises ConfigError if they share no benchmark."""
    names = names_of([a, b])
    if not names:
        raise ConfigError(
            f"The results share no benchmark: {', '.join(a['benchmarks'])} and "
            f"{', '.join(b['benchmarks'])}."
        )
    table = Table(box=None)
    for index, head in enumerate(("benchmark", "A", "B", "B - A, 95 %", "p", "pairs", "")):
        table.add_column(head, justify="right" if 0 < index < 6 else "left", no_wrap=True)
    for name in names:
        table.add_row(name, *_row(a["benchmarks"][name], b["benchmarks"][name]))
    print_table(table, console)
    for line in _settings_lines(names, a, b):
        console.print(Text(line), soft_wrap=True)


def _row(a: EvalRecord, b: EvalRecord) -> tuple[str, ...]:
    paired = compare(a, b)
    if paired is None:
        return _score(a), _score(b), "", "", "0", "no problem in common"
    low, high = (100 * (paired.difference + sign * Z_95 * paired.stderr) for sign in (-1, 1))
    verdict = "no clear difference"
    if paired.is_real:
        verdict = "B is better" if paired.difference > 0 else "A is better"
    return (
        _score(a), _score(b), f"{100 * paired.difference:+.1f} ({low:+.1f} … {high:+.1f})",
        f"{paired.p_value:.3f}", f"{paired.n_pairs:,}", verdict,
    )  # fmt: skip


def _score(record: EvalRecord) -> str:
    first = record["scores"].get("pass@1")
    return "–" if first is None else percent(first["value"], first["stderr"])


def _settings_lines(names: Sequence[str], a: EvalRecord, b: EvalRecord) -> list[str]:
    """Describe the settings that differ, those of all benchmarks once."""
    by_name = {n: other_settings(a["benchmarks"][n], b["benchmarks"][n]) for n in names}
    first, *rest = by_name.values()
    shared = {key: pair for key, pair in first.items() if all(x.get(key) == pair for x in rest)}
    lines = [_line("everywhere", shared)] if shared else []
    for name, pairs in by_name.items():
        own = {key: pair for key, pair in pairs.items() if key not in shared}
        lines += [_line(name, own)] if own else []
    return ["", *(lines or ["The protocols are the same."])]


def _line(where: str, pairs: dict[str, tuple[Any, Any]]) -> str:
    parts = [f"{key} {_shown(x)} → {_shown(y)}" for key, (x, y) in pairs.items()]
    return f"Differs {where}: {', '.join(parts)}."


def _shown(value: Any) -> str:
    text = " ".join(printable(repr(value)).split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _rates(record: EvalRecord) -> dict[str, float]:
    """Return pass@1 by the hash of the problem; repeated problems are averaged."""
    rates: dict[str, list[float]] = {}
    for problem in record["problems"]:
        if problem["n"]:
            rates.setdefault(problem["hash"], []).append(problem["n_right"] / problem["n"])
    return {key: statistics.fmean(values) for key, values in rates.items()}
