"""Pictures of the whole recipe: what every stage does, how a learned reward is hacked, students.

Of one run, or of several seeds: then a point is their mean, and its bar the error that judges
claims (claims/judge.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from r1kit.claims.judge import combine
from r1kit.claims.reading import MissingError, Reading, measured, truth_and_reward
from r1kit.evidence import Evidence
from r1kit.report.plots import COLORS, Paint, smooth, style
from r1kit.report.tables import main_path, taught

PATHS = (
    ("R1-Zero", ("base", "zero")),
    ("cold start, reasoning RL", ("base", "cold_start", "reasoning")),
    ("rejection SFT, final RL", ("base", "rejection", "final")),
)
"""by weights: every one begins with the base"""
LABELS = {
    "base": "base",
    "zero": "Zero",
    "cold_start": "cold\nstart",
    "reasoning": "reason-\ning RL",
    "rejection": "rejection\nSFT",
    "final": "final RL\n= R1",
}
MEASURES = (
    ("Right answers (%)", "pass_at_1", 100.0, (0, 100)),
    ("Tokens an answer", "mean_tokens", 1.0, (0, None)),
    ("Own language in thinking (%)", "language_consistency", 100.0, (None, 100.5)),
    ("General prompts answered right (%)", "general.accuracy", 100.0, (0, 100)),
)
CURVES = (
    ("Right answers (%)", "rewards/accuracy", 100.0),
    ("Tokens an answer", "completions/mean_length", 1.0),
    ("Reflection words an answer", "reflection_per_answer", 1.0),
    ("Entropy (nats a token)", "entropy", 1.0),
)
SMOOTHED = 5
"""steps"""


@dataclass(frozen=True)
class Picture:
    """One figure, and the words under it."""

    key: str
    title: str
    caption: str
    size: tuple[float, float]
    """inches"""
    paint: Paint


def pictures(runs: Sequence[Evidence]) -> list[Picture]:
    """Those that the runs have something for."""
    found = [_recipe(runs), _hacking(runs), _students(runs)]
    return [picture for picture in found if picture is not None]


def curves(runs: Sequence[Evidence], stage: str) -> Picture:
    """The course of a stage of RL, a line a seed."""

    def paint(figure: Figure, ink: str) -> None:
        axes = figure.subplots(1, len(CURVES))
        for ax, (title, key, factor) in zip(axes, CURVES, strict=True):
            for run, color in zip(runs, cycle(COLORS), strict=False):
                rows = [row for row in run.metrics if row["stage"] == stage and key in row]
                values = smooth([factor * row[key] for row in rows], SMOOTHED)
                label = f"seed {run.manifest.get('seed', '?')}"
                ax.plot([row["step"] for row in rows], values, color=color, label=label)
            ax.set_ylim(bottom=0)
            _finish(ax, title, f"step of {stage}", ink)
        _legend(axes[0], ink)

    return Picture(f"curves-{stage}", f"Course of {stage}", "", (14, 3.1), paint)


def _recipe(runs: Sequence[Evidence]) -> Picture | None:
    names = [name for name in main_path(runs) if name in LABELS]
    if len(names) < 3:
        return None
    shown = [item for item in MEASURES if _points(runs, names, item[1])]

    def paint(figure: Figure, ink: str) -> None:
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for ax, (title, key, factor, limits) in zip(axes, shown, strict=True):
            found = _points(runs, names, key)
            for (label, path), color in zip(PATHS, COLORS, strict=False):
                _along(ax, [name for name in path if name in found], names, found, factor, color,
                       label)  # fmt: skip
            _bars(ax, ["base"], names, found, factor, ink, "")
            ax.set_xticks(range(len(names)), [LABELS[name] for name in names], fontsize=7.5)
            ax.set_xlim(-0.5, len(names) - 0.5)
            ax.set_ylim(*limits)
            _finish(ax, title, "", ink)
            ax.tick_params(axis="x", labelsize=7.5)
        _legend(axes[0], ink, loc="lower right")

    caption = (
        "Every stage on held-out problems. Lines follow the weights: all three paths begin with "
        "the base; what goes from one to the next is data alone."
    )
    return Picture("recipe", "The whole recipe", caption, (3.6 * len(shown), 3.2), paint)


def _hacking(runs: Sequence[Evidence]) -> Picture | None:
    lines = (
        ("ablation/judged", "rewards/preference", "a learned reward", COLORS[1]),
        ("ablation/ruled", "rewards/accuracy", "the rule itself", COLORS[0]),
    )
    if not all(truth_and_reward(run, stage, key) for run in runs for stage, key, *_ in lines):
        return None

    def paint(figure: Figure, ink: str) -> None:
        axes = figure.subplots(1, 2, sharex=True)
        for stage, key, label, color in lines:
            for place, run in enumerate(runs):
                steps, truths, rewards = zip(*truth_and_reward(run, stage, key), strict=True)
                once = f"optimises {label}" if place == 0 else None
                for ax, values in ((axes[0], rewards), (axes[1], truths)):
                    ax.plot(steps, smooth(values, SMOOTHED), color=color, label=once)
        axes[0].set_ylim(0, 1)
        axes[1].set_ylim(0, 1)
        _finish(axes[0], "What it is rewarded for", "step", ink)
        _finish(axes[1], "Truth: answers that keep the rules", "step", ink)
        _legend(axes[0], ink, loc="lower right")

    caption = (
        "RL on general prompts from the same weights, once for the reward models' score and once "
        "for the rules that decide what is right; a line a seed."
    )
    return Picture("hacking", "Optimising a learned reward", caption, (8.4, 3.1), paint)


def _students(runs: Sequence[Evidence]) -> Picture | None:
    names = taught(runs)
    if len(names) < 2:
        return None
    sizes = [runs[0].results["stages"][name]["n_parameters"] for name in names]
    series = (("/base", "its base", COLORS[5]), ("", "taught by data", COLORS[0]),
              ("/zero", "RL alone", COLORS[1]))  # fmt: skip

    def paint(figure: Figure, ink: str) -> None:
        ax = figure.subplots()
        for after, label, color in series:
            found = _points(runs, [name + after for name in names], "pass_at_1")
            places = [place for place, name in enumerate(names) if name + after in found]
            ax.errorbar(
                [sizes[place] for place in places],
                [100 * found[names[place] + after].value for place in places],
                [100 * found[names[place] + after].stderr for place in places],
                color=color, label=label, marker="o", markersize=4.5, capsize=2.5,
            )  # fmt: skip
        teacher = _points(runs, ["reasoning"], "pass_at_1")
        if teacher:
            ax.axhline(100 * teacher["reasoning"].value, color=ink, alpha=0.5, linestyle=":",
                       label="the teacher")  # fmt: skip
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size / 1000:.0f}k" for size in sizes])
        ax.minorticks_off()
        ax.set_ylim(0, 100)
        _finish(ax, "Right answers (%)", "parameters of the student", ink)
        _legend(ax, ink, loc="upper left")

    caption = "Students of six sizes, taught by the teacher's kept samples alone."
    return Picture("students", "Students", caption, (5.2, 3.4), paint)


Points = dict[str, Reading]


def _points(runs: Sequence[Evidence], names: Sequence[str], key: str) -> Points:
    """Of the stages that have it."""
    found = {}
    for name in names:
        try:
            found[name] = combine([measured(name, key)(run) for run in runs])
        except (KeyError, MissingError):
            continue
    return found


def _along(
    ax: Axes, path: Sequence[str], names: Sequence[str], found: Points, factor: float, color: str,
    label: str,
) -> None:  # fmt: skip
    places = [names.index(name) for name in path]
    ax.plot(places, [factor * found[name].value for name in path], color=color, alpha=0.45,
            linewidth=1.4)  # fmt: skip
    _bars(ax, path[1:], names, found, factor, color, label)


def _bars(
    ax: Axes, path: Sequence[str], names: Sequence[str], found: Points, factor: float, color: str,
    label: str,
) -> None:  # fmt: skip
    shown = [name for name in path if name in found]
    ax.errorbar(
        [names.index(name) for name in shown],
        [factor * found[name].value for name in shown],
        [factor * found[name].stderr for name in shown],
        color=color, label=label or None, marker="o", markersize=5, capsize=3, linestyle="none",
    )  # fmt: skip


def _finish(ax: Axes, title: str, below: str, ink: str) -> None:
    style(ax, ink)
    ax.set_title(title, loc="left", color=ink, fontsize=10)
    ax.set_xlabel(below, color=ink, fontsize=9)


def _legend(ax: Axes, ink: str, **place: str) -> None:
    ax.legend(frameon=False, fontsize=8, labelcolor=ink, **place)
