"""`r1 show --figures`: figures for talks, 16:9, each with one message that states the run's number.

A figure shows one run, or several seeds of one recipe as their mean and a band. Which figures there
are follows from the data; their numbers are those of the report (figures.py, plots.py). The paper's
number is dashed only where it measures the same: how often reflection words multiply in R1-Zero,
and public benchmarks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from matplotlib.axes import Axes

from r1kit.claims.decide import N_ERRORS
from r1kit.claims.paper import REFLECTION_TIMES
from r1kit.claims.reading import truth_and_reward
from r1kit.diagnose.finding import RECENT
from r1kit.diagnose.finding_texts import Texts
from r1kit.evals.published import published
from r1kit.report.figures import SMOOTHED, band, metric_by_step, stage_scores
from r1kit.report.plots import COLORS, panels
from r1kit.report.tables import main_path, taught
from r1kit.report.talk_texts import TEXTS
from r1kit.runs.run_reader import RunContents
from r1kit.runs.stage_specs import STAGES

MIN_STEPS = 4
"""steps that a curve needs"""
ACCURACY = "rewards/accuracy/mean"
SCORE = "reasoning.pass_at_1"
CURVES = (
    ("accuracy", ACCURACY, 100.0, 100.0),
    ("length", "completions/mean_length", 1.0, None),
    ("reflection", "completions/mean_reflections", 1.0, None),
    ("entropy", "entropy", 1.0, None),
    ("groups", "frac_reward_zero_std", 100.0, 100.0),
    ("mismatch", "sampling/sampling_logp_difference/mean", 1.0, None),
)
"""name of the figure, metric, factor and upper end of the axis"""
MODELS = {"zero": "DeepSeek-R1-Zero", "final": "DeepSeek-R1"}
"""stage → the paper's model that has reached it"""


@dataclass(frozen=True)
class TalkFigure:
    """A figure for a talk: its message, its caption, and what it draws."""

    key: str
    """name of its files"""
    message: str
    caption: str
    x_label: str
    y_label: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Change:
    """A number at the beginning and the end of a stage: means of `n_steps` steps of all seeds."""

    before: float
    after: float
    n_steps: int
    is_clear: bool
    """True if they differ by more than `N_ERRORS` standard errors"""


def talk_figures(runs: Sequence[RunContents], language: str) -> list[TalkFigure]:
    """Return the figures that the runs, seeds of one recipe, have data for."""
    words = TEXTS[language]
    of_stages = (_of_stage(runs, stage, words) for stage in _rl_stages(runs))
    return [*_scores(runs, words), *chain.from_iterable(of_stages), *_students(runs, words),
            *_hacking(runs, words)]  # fmt: skip


def change(series: Sequence[Mapping[int, float]]) -> Change | None:
    """Compare the first with the last steps that all seeds have; None for fewer than MIN_STEPS."""
    steps = sorted(set.intersection(*map(set, series))) if series else []
    if len(steps) < MIN_STEPS:
        return None
    n = max(1, min(RECENT, len(steps) // 20))
    values = [[one[step] for step in steps] for one in series]
    before, after = (statistics.fmean(chain.from_iterable(part)) for part in (
        (one[:n] for one in values), (one[-n:] for one in values)))  # fmt: skip
    # Neighbouring steps differ by little but noise, twice its variance.
    jumps = [(b - a) ** 2 for one in values for a, b in pairwise(one)]
    error = math.sqrt(statistics.fmean(jumps) / (n * len(series)))
    return Change(before, after, n, abs(after - before) > N_ERRORS * error)


def _rl_stages(runs: Sequence[RunContents]) -> list[str]:
    """Return the stages of RL that all runs have begun and whose prompts stay of one kind.

    The final stage goes from reasoning to general prompts, so that its curves do not compare.
    """
    begun = [{row["stage"] for row in run.metrics if "reward" in row} for run in runs]
    return [name for name in ("zero", "reasoning") if all(name in stages for stages in begun)]


def _of_stage(runs: Sequence[RunContents], stage: str, words: Texts) -> Iterator[TalkFigure]:
    for kind, key, factor, top in CURVES:
        series = metric_by_step(runs, stage, key, factor)
        if kind == "groups":
            series = [{step: 100.0 - value for step, value in one.items()} for one in series]
        trend = change(series)
        if trend is not None and (trend.before or trend.after):
            yield _curve(runs, stage, words, kind, series, trend, top)
    yield from _rewards(runs, stage, words)


def _curve(
    runs: Sequence[RunContents],
    stage: str,
    words: Texts,
    kind: str,
    series: Sequence[dict[int, float]],
    trend: Change,
    top: float | None,
) -> TalkFigure:
    before, after = (_shown(value, kind, words) for value in (trend.before, trend.after))
    direction = "rise" if trend.after > trend.before else "fall"
    direction = direction if trend.is_clear and before != after else "flat"
    title = stage_title(stage, words)
    has_paper = kind == "reflection" and stage == "zero" and trend.before > 0
    paper = [times * trend.before for times in REFLECTION_TIMES] if has_paper else []
    low, high = REFLECTION_TIMES

    def draw(ax: Axes) -> None:
        band(ax, series, COLORS[0])
        for index, value in enumerate(paper):
            label = words["paper.times"].format(low=low, high=high)
            _dashed(ax, value, label if index == 0 else "")
        ax.set_ylim(0, top)

    return TalkFigure(
        f"{stage}-{kind}",
        words[f"{kind}.{direction}"].format(stage=title, before=before, after=after),
        _caption(words, f"{kind}.caption", runs, trend.n_steps, bool(paper)),
        words["step"].format(stage=title),
        words[f"{kind}.axis"],
        draw,
    )


def _rewards(runs: Sequence[RunContents], stage: str, words: Texts) -> Iterator[TalkFigure]:
    [rows, *_] = [rows for panel, rows in panels(runs[0])
                  if panel.key == "rewards" and rows[0]["stage"] == stage] or [[]]  # fmt: skip
    keys = sorted({key for row in rows for key in row if key.startswith("rewards/")})
    parts = {key.split("/")[1]: metric_by_step(runs, stage, key) for key in keys}
    changes = {part: trend for part, series in parts.items() if (trend := change(series))}
    if len(changes) < 2:
        return
    part = max(changes, key=lambda part: abs(changes[part].after - changes[part].before))

    def draw(ax: Axes) -> None:
        for index, name in enumerate(changes):
            band(ax, parts[name], COLORS[index % len(COLORS)], name)
        ax.set_ylim(bottom=0)

    trend, title = changes[part], stage_title(stage, words)
    before, after = (f"{value:.2f}" for value in (trend.before, trend.after))
    message = words["rewards.change"].format(stage=title, part=part, before=before, after=after)
    caption = _caption(words, "rewards.caption", runs, trend.n_steps)
    yield TalkFigure(f"{stage}-rewards", message, caption, words["step"].format(stage=title),
                     words["rewards.axis"], draw)  # fmt: skip


def _scores(runs: Sequence[RunContents], words: Texts) -> Iterator[TalkFigure]:
    """Yield bars of the stages, on held-out problems and on each public benchmark."""
    names = main_path(runs)
    evals = [set(run.results["stages"][name]["evals"]) for run in runs for name in names]
    for benchmark in sorted(set.union(*evals) - {"general"} if evals else ()):
        points = stage_scores(runs, names, f"{benchmark}.pass_at_1")
        if len(points) < 2:
            continue
        kind = "stages" if benchmark == "reasoning" else "public"
        paper = {model: value for model, value, *_ in published(benchmark)}
        dashed = {stage: (model, paper[model]) for stage, model in MODELS.items()
                  if stage in points and model in paper}  # fmt: skip
        first, last = next(iter(points)), list(points)[-1]
        titles = [stage_title(name, words) for name in points]
        facts = {"first": titles[0], "stage": titles[-1], "benchmark": benchmark}
        values = {
            "before": _rate(points[first].value, points[first].stderr, words),
            "after": _rate(points[last].value, points[last].stderr, words),
        }

        def draw(ax: Axes, points=points, titles=titles, dashed=dashed) -> None:  # type: ignore[no-untyped-def]
            ax.bar(
                range(len(points)),
                [100 * point.value for point in points.values()],
                yerr=[100 * point.stderr for point in points.values()],
                color=[COLORS[0] if index else COLORS[5] for index in range(len(points))],
                width=0.62, capsize=8, error_kw={"elinewidth": 2.5, "capthick": 2.5},
            )  # fmt: skip
            for color, (stage, (model, value)) in zip(COLORS[1:], dashed.items(), strict=False):
                at = list(points).index(stage)
                label = words["paper.score"].format(model=model)
                ax.plot([at - 0.42, at + 0.42], [value, value], color=color, linestyle="--",
                        label=label)  # fmt: skip
            ax.set_xticks(range(len(points)), titles)
            ax.set_ylim(0, 100)

        caption = [words[f"{kind}.caption"].format(**facts)]
        caption += [words["seeds.bars"].format(n=len(runs))] if len(runs) > 1 else []
        caption += [words["paper.caption"]] if dashed else []
        yield TalkFigure("stages" if kind == "stages" else f"stages-{benchmark}",
                         words[f"{kind}.change"].format(**facts, **values), " ".join(caption), "",
                         words[f"{kind}.axis"], draw)  # fmt: skip


def _students(runs: Sequence[RunContents], words: Texts) -> Iterator[TalkFigure]:
    names = taught(runs)
    teacher = stage_scores(runs, ["reasoning"], SCORE)
    points = stage_scores(runs, names, SCORE)
    if len(points) < 2 or not teacher:
        return
    sizes = {name: runs[0].results["stages"][name]["n_parameters"] for name in names}
    lines = (("/base", "its base", COLORS[5]), ("", "taught", COLORS[0]),
             ("/zero", "alone", COLORS[1]))  # fmt: skip

    def draw(ax: Axes) -> None:
        for suffix, label, color in lines:
            scores = stage_scores(runs, [name + suffix for name in names], SCORE)
            rows = [
                (sizes[name], scores[name + suffix]) for name in names if name + suffix in scores
            ]
            if rows:
                ax.errorbar([size for size, _ in rows], [100 * one.value for _, one in rows],
                            [100 * one.stderr for _, one in rows], color=color, marker="o",
                            markersize=11, capsize=7, label=words[label])  # fmt: skip
        ax.axhline(100 * teacher["reasoning"].value, color="#777777", linestyle=":",
                   label=words["teacher"])  # fmt: skip
        ax.set_xscale("log")
        ax.set_xticks(list(sizes.values()), [_size(size) for size in sizes.values()])
        ax.minorticks_off()
        ax.set_ylim(0, 100)

    largest, own = points[names[-1]], teacher["reasoning"]
    message = words["students.change"].format(before=_rate(own.value, None, words),
                                              after=_rate(largest.value, None, words))  # fmt: skip
    caption = words["students.caption"]
    caption += f" {words['seeds.bars'].format(n=len(runs))}" if len(runs) > 1 else ""
    yield TalkFigure(
        "students", message, caption, words["parameters"], words["students.axis"], draw
    )


def _hacking(runs: Sequence[RunContents], words: Texts) -> Iterator[TalkFigure]:
    pairs = (("ablation/judged", "rewards/preference/mean", "judged", COLORS[1]),
             ("ablation/ruled", ACCURACY, "ruled", COLORS[0]))  # fmt: skip
    truth = {
        label: [
            {step: 100 * right for step, right, _ in truth_and_reward(run, stage, key)}
            for run in runs
        ]
        for stage, key, label, _ in pairs
    }
    judged, ruled = change(truth["judged"]), change(truth["ruled"])
    if judged is None or ruled is None:
        return

    def draw(ax: Axes) -> None:
        for _, _, label, color in pairs:
            band(ax, truth[label], color, words[label])
        ax.set_ylim(0, 100)

    kind = "change" if judged.is_clear and judged.after < judged.before else "flat"
    before, after, rule = (
        _shown(v, "accuracy", words) for v in (judged.before, judged.after, ruled.after)
    )
    message = words[f"hacking.{kind}"].format(before=before, after=after, rule=rule)
    caption = _caption(words, "hacking.caption", runs, judged.n_steps)
    yield TalkFigure("hacking", message, caption, words["step"].format(stage="RL"),
                     words["hacking.axis"], draw)  # fmt: skip


def stage_title(stage: str, words: Texts) -> str:
    """Return the name of a stage in a language: `콜드 스타트` for `cold_start`."""
    return words.get(stage) or (STAGES[stage].title if stage in STAGES else stage)


def _caption(
    words: Texts, key: str, runs: Sequence[RunContents], n_steps: int, has_paper: bool = False
) -> str:
    parts = [words[key], words["smooth"].format(n=SMOOTHED), words["windows"].format(n=n_steps)]
    parts += [words["seeds"].format(n=len(runs))] if len(runs) > 1 else []
    parts += [words["paper.caption"]] if has_paper else []
    return " ".join(parts)


def _dashed(ax: Axes, value: float, label: str) -> None:
    ax.axhline(value, color=COLORS[1], linestyle="--", label=label or None)


def _shown(value: float, kind: str, words: Texts) -> str:
    """Return a number of a message, with the unit if that is percent."""
    if kind in ("accuracy", "groups"):
        return words["percent"].format(f"{value:.0f}")
    return f"{value:,.0f}" if kind == "length" else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def _rate(share: float, stderr: float | None, words: Texts) -> str:
    error = "" if stderr is None else f"\u00a0±\u00a0{100 * stderr:.1f}"
    return words["percent"].format(f"{100 * share:.1f}{error}")


def _size(n_parameters: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6)):
        if n_parameters >= size:
            return f"{n_parameters / size:.3g}{unit}"
    return f"{n_parameters / 1000:.0f}k"
