"""Figures of the whole recipe: results of every stage, hacking of a learned reward, students.

A figure shows one run or several seeds. A point of several seeds is their mean, with the error bar
that decides claims (claims/decide.py); a curve is their mean, in a band from the lowest to the
highest seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from r1kit.claims.decide import combine
from r1kit.claims.reading import MissingError, Reading, measured, truth_and_reward
from r1kit.report.plots import COLORS, DrawPicture, smooth, style
from r1kit.report.tables import main_path, taught
from r1kit.report.translate import Translator
from r1kit.runs.run_reader import RunContents
from r1kit.runs.stage_specs import STAGES

TICK_WIDTH = 9
"""characters in a line of a stage's title under the axis"""
MEASURES = (
    ("Right answers (%)", "reasoning.pass_at_1", 100.0, (0, 100)),
    ("Tokens per completion", "reasoning.mean_tokens", 1.0, (0, None)),
    (
        "Words in the question's language (%)",
        "reasoning.language_consistency",
        100.0,
        (None, 100.5),
    ),
    ("General prompts answered right (%)", "general.pass_at_1", 100.0, (0, 100)),
)
CURVES = (
    ("Right answers (%)", "rewards/accuracy/mean", 100.0),
    ("Tokens per completion", "completions/mean_length", 1.0),
    ("Reflection words per completion", "completions/mean_reflections", 1.0),
    ("Entropy (nats per token)", "entropy", 1.0),
)
SMOOTHED = 5
"""window of the smoothing, steps"""
SQUARES = (8.4, 6.2)
"""size of four panels, two by two, inches; a README shows them at about this size"""


@dataclass(frozen=True)
class Picture:
    """A figure and its caption."""

    key: str
    title: str
    caption: str
    size: tuple[float, float]
    """width and height, inches"""
    paint: DrawPicture


def pictures(runs: Sequence[RunContents], language: str = "en") -> list[Picture]:
    """Return the figures that the runs have data for, with their texts in a language."""
    t = Translator(language)
    candidates = [_recipe(runs, t), _hacking(runs, t), _students(runs, t)]
    return [picture for picture in candidates if picture is not None]


def curves(runs: Sequence[RunContents], stage: str) -> Picture:
    """Plot the curves of an RL stage: the mean of the seeds, in a band over all of them."""

    def paint(figure: Figure, ink: str) -> None:
        for ax, (title, key, factor) in zip(_squares(figure, len(CURVES)), CURVES, strict=True):
            band(ax, metric_by_step(runs, stage, key, factor), COLORS[0])
            ax.set_ylim(bottom=0)
            _finish(ax, title, f"step of {stage}", ink)

    seeds = "the mean of the seeds in a band from the lowest to the highest, " * (len(runs) > 1)
    caption = (
        f"What is sampled in training: {seeds}over {SMOOTHED} steps, fewer at the ends. The first "
        "point is the first step, sampled from the weights the stage begins with."
    )
    return Picture(f"curves-{stage}", f"Course of {stage}", caption, SQUARES, paint)


def metric_by_step(
    runs: Sequence[RunContents], stage: str, key: str, factor: float = 1.0
) -> list[dict[int, float]]:
    """Return a metric of a stage by step, one mapping per run; steps without a value are absent."""
    return [
        {row["step"]: factor * row[key] for row in run.metrics
         if row["stage"] == stage and row.get(key) is not None}
        for run in runs
    ]  # fmt: skip


def _recipe(runs: Sequence[RunContents], t: Translator) -> Picture | None:
    names = [name for name in main_path(runs) if name in STAGES]
    if len(names) < 3:
        return None
    measures = [item for item in MEASURES if stage_scores(runs, names, item[1])]
    parents = {STAGES[name].weights_from for name in names}
    paths = [_path_to(name) for name in names if name not in parents]
    titles = {name: t.stage_title(name) for name in names}
    ticks = [fill(title, TICK_WIDTH if title.isascii() else 4) for title in titles.values()]

    def paint(figure: Figure, ink: str) -> None:
        axes = _squares(figure, len(measures))
        for ax, (title, key, factor, limits) in zip(axes, measures, strict=True):
            points = stage_scores(runs, names, key)
            for path, color in zip(paths, COLORS, strict=False):
                label = ", ".join(t.stage_title(name) for name in path[1:])
                _along(ax, [name for name in path if name in points], names, points, factor, color,
                       label)  # fmt: skip
            _bars(ax, ["base"], names, points, factor, ink, "")
            ax.set_xlim(-0.5, len(names) - 0.5)
            ax.set_ylim(*limits)
            _finish(ax, t(title), "", ink)
            ax.set_xticks(range(len(names)), ticks, fontsize=8.5)
        _legend(figure, axes[0], ink)

    caption = (
        "Every stage on held-out problems. Lines follow the weights: all three paths begin with "
        "the base, and only data goes from one path to the next."
    )
    return Picture("recipe", t("The whole recipe"), t(caption), SQUARES, paint)


def _path_to(stage: str) -> list[str]:
    """Return the stages through which a stage's weights came, from the base on."""
    parent = STAGES[stage].weights_from
    return [*([] if parent is None else _path_to(parent)), stage]


def _hacking(runs: Sequence[RunContents], t: Translator) -> Picture | None:
    lines = (
        ("ablation/judged", "rewards/preference/mean", "optimises a learned reward", COLORS[1]),
        ("ablation/ruled", "rewards/accuracy/mean", "optimises the rule itself", COLORS[0]),
    )
    if not all(truth_and_reward(run, stage, key) for run in runs for stage, key, *_ in lines):
        return None

    def paint(figure: Figure, ink: str) -> None:
        axes = figure.subplots(1, 2, sharex=True)
        for stage, key, label, color in lines:
            points = [truth_and_reward(run, stage, key) for run in runs]
            band(axes[0], [{step: reward for step, _, reward in run} for run in points], color,
                  t(label))  # fmt: skip
            band(axes[1], [{step: truth for step, truth, _ in run} for run in points], color)
        for ax, title in zip(
            axes, ("The reward", "Truth: answers that follow the rules"), strict=True
        ):
            ax.set_ylim(0, 1)
            _finish(ax, t(title), t("step"), ink)
        _legend(figure, axes[0], ink)

    caption = (
        "RL on general prompts from the same weights, once for the reward models' score and once "
        "for the rules that decide what is right; bands reach from the lowest to the highest seed."
    )
    return Picture("hacking", t("Optimising a learned reward"), t(caption), (8.4, 3.3), paint)


def _students(runs: Sequence[RunContents], t: Translator) -> Picture | None:
    names = taught(runs)
    if len(names) < 2:
        return None
    sizes = [runs[0].results["stages"][name]["n_parameters"] for name in names]
    series = (("/base", "its base", COLORS[5]), ("", "taught by data", COLORS[0]),
              ("/zero", "RL alone", COLORS[1]))  # fmt: skip

    def paint(figure: Figure, ink: str) -> None:
        ax = figure.subplots()
        for suffix, label, color in series:
            points = stage_scores(runs, [name + suffix for name in names], "reasoning.pass_at_1")
            indices = [index for index, name in enumerate(names) if name + suffix in points]
            ax.errorbar(
                [sizes[index] for index in indices],
                [100 * points[names[index] + suffix].value for index in indices],
                [100 * points[names[index] + suffix].stderr for index in indices],
                color=color, label=t(label), marker="o", markersize=4.5, capsize=2.5,
            )  # fmt: skip
        teacher = stage_scores(runs, ["reasoning"], "reasoning.pass_at_1")
        if teacher:
            ax.axhline(100 * teacher["reasoning"].value, color=ink, alpha=0.5, linestyle=":",
                       label=t("the teacher"))  # fmt: skip
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size / 1000:.0f}k" for size in sizes])
        ax.minorticks_off()
        ax.set_ylim(0, 100)
        _finish(ax, t("Right answers (%)"), t("parameters of the student"), ink)
        _legend(figure, ax, ink, n_columns=2)

    caption = "Students of six sizes, taught by the teacher's kept samples alone."
    return Picture("students", t("Students"), t(caption), (5.2, 3.8), paint)


Points = dict[str, Reading]


def stage_scores(runs: Sequence[RunContents], names: Sequence[str], key: str) -> Points:
    """Return the values of those stages that have this metric."""
    points = {}
    for name in names:
        try:
            points[name] = combine([measured(name, key)(run) for run in runs])
        except (KeyError, MissingError):
            continue
    return points


def _along(
    ax: Axes, path: Sequence[str], names: Sequence[str], points: Points, factor: float, color: str,
    label: str,
) -> None:  # fmt: skip
    positions = [names.index(name) for name in path]
    ax.plot(positions, [factor * points[name].value for name in path], color=color, alpha=0.45,
            linewidth=1.4)  # fmt: skip
    _bars(ax, path[1:], names, points, factor, color, label)


def _bars(
    ax: Axes, path: Sequence[str], names: Sequence[str], points: Points, factor: float, color: str,
    label: str,
) -> None:  # fmt: skip
    stages = [name for name in path if name in points]
    ax.errorbar(
        [names.index(name) for name in stages],
        [factor * points[name].value for name in stages],
        [factor * points[name].stderr for name in stages],
        color=color, label=label or None, marker="o", markersize=5, capsize=3, linestyle="none",
    )  # fmt: skip


def _finish(ax: Axes, title: str, x_label: str, ink: str) -> None:
    style(ax, ink)
    ax.set_title(title, loc="left", color=ink, fontsize=10)
    ax.set_xlabel(x_label, color=ink, fontsize=9)


def _legend(figure: Figure, ax: Axes, ink: str, n_columns: int = 3) -> None:
    """Draw one legend above all axes, where it covers no line."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(
        handles, labels, frameon=False, fontsize=9, labelcolor=ink, ncols=n_columns,
        loc="outside upper left",
    )  # fmt: skip


def _squares(figure: Figure, n: int) -> list[Axes]:
    """Return the axes of `n` panels in rows of two, legible at the width of a text page."""
    axes = list(figure.subplots(-(-n // 2), 2, squeeze=False).flat)
    for ax in axes[n:]:
        ax.set_axis_off()
    return axes[:n]


def band(ax: Axes, series: Sequence[dict[int, float]], color: str, label: str = "") -> None:
    """Plot a curve per seed, {step: value}, as the smoothed mean and the range over seeds."""
    steps = sorted(set.intersection(*(set(values) for values in series)))
    if not steps:
        return
    seeds = [smooth([values[step] for step in steps], SMOOTHED) for values in series]
    columns = list(zip(*seeds, strict=True))
    ax.plot(steps, list(map(fmean, columns)), color=color, linewidth=1.8, label=label or None)
    if len(seeds) > 1:
        lowest, highest = map(min, columns), map(max, columns)
        ax.fill_between(steps, list(lowest), list(highest), color=color, alpha=0.22, linewidth=0)
