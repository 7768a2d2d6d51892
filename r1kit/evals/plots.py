"""The picture of an evaluation: accuracy against tokens allowed, and lengths of completions."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from r1kit.evals.result import EvalRecord
from r1kit.files.atomic import explaining_full_disk

SIZE_IN = (10.0, 3.6)


def save(path: Path, result: EvalRecord) -> bool:
    """Draw all benchmarks whose token counts are known; False if there are none."""
    records = {n: r for n, r in result["benchmarks"].items() if r["budget_curve"]}
    if not records:
        return False
    figure = Figure(SIZE_IN, layout="constrained")
    FigureCanvasAgg(figure)
    budgets, lengths = figure.subplots(1, 2)
    for name, record in records.items():
        sizes, shares = zip(*record["budget_curve"], strict=True)
        budgets.plot(sizes, [100 * share for share in shares], marker="o", markersize=3, label=name)
        ends = [end for end, _, _ in record["lengths"]]
        totals = [right + wrong for _, right, wrong in record["lengths"]]
        shown = [100 * total / sum(totals) for total in totals]
        lengths.plot(ends, shown, marker="o", markersize=3, label=name)
    budgets.set(
        xscale="log", xlabel="tokens allowed", ylabel="right within them (%)", ylim=(0, None)
    )
    lengths.set(xscale="log", xlabel="length (tokens, upper end)", ylabel="completions (%)",
                ylim=(0, None))  # fmt: skip
    for axes in (budgets, lengths):
        axes.spines[["top", "right"]].set_visible(False)
    budgets.legend(frameon=False, fontsize=8)
    with explaining_full_disk(path):
        figure.savefig(path, dpi=120, metadata={"Software": None})
    return True
