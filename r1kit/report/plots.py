"""The curves of a run: SVG in the colours of the surrounding page, and files for README and mail.

The plots are drawn with matplotlib without changing its global settings; the same metrics give the
same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from r1kit.diagnose.settings import settings_of
from r1kit.files.atomic import replace_file
from r1kit.report.translate import Translator
from r1kit.runs.run_reader import RunContents

INK = "#010203"
"""placeholder for the page's text colour; `as_svg` replaces it by `currentColor`"""
COLORS = ("#3b82c4", "#d97b29", "#3f9b63", "#b8568f", "#8577c9", "#9a8a2f")
"""line colours, readable on white and on near-black"""
SIZE_IN = (5.2, 2.9)
MARGINS_IN = {"left": 0.66, "right": 0.12, "bottom": 0.48, "top": 0.28}
"""margins around a panel's axes, inches; fixed, since measuring labels is slower than drawing"""
LEGEND_IN = 1.06
"""width of a panel's legend, inches; it is right of the axes, where it covers no line"""
PAPER = "#222222"
"""text colour of pictures on white"""
PHASES = ("sample", "verify", "learn", "publish", "reference")
"""phases of an RL step; their times are the metrics `time/<phase>_s`"""

MetricsRows = list[dict[str, Any]]
DrawPanel = Callable[[Axes, MetricsRows], None]
DrawPicture = Callable[[Figure, str], None]
"""draws a whole picture; the second argument is the text colour"""


@dataclass(frozen=True)
class Panel:
    """A plot of one stage's metrics: its texts and the function that draws it."""

    key: str
    title: str
    caption: str
    needs: str
    """the metric without which there is nothing to draw"""
    draw: DrawPanel
    has_legend: bool = False
    language: str = "en"


def panels(evidence: RunContents, language: str = "en") -> list[tuple[Panel, MetricsRows]]:
    """Return the panels this run has data for, in the order of PANELS, each with its rows."""
    pairs = []
    t = Translator(language)
    for english in PANELS:
        panel = replace(
            english, title=t(english.title), caption=t(english.caption), language=language
        )
        for stage in dict.fromkeys(row["stage"] for row in evidence.metrics):
            rows = [row for row in evidence.metrics if row["stage"] == stage]
            is_rl = any("reward" in row for row in rows)
            if any(panel.needs in row for row in rows) and is_rl != (panel.key == "loss"):
                panel_rows = _rewarded(evidence, stage, rows) if panel.key == "rewards" else rows
                pairs.append((panel, panel_rows))
    return pairs


def _rewarded(evidence: RunContents, stage: str, rows: MetricsRows) -> MetricsRows:
    """Return the rows without the reward parts whose weight is 0 in this stage."""
    settings = settings_of(evidence.recipe, stage)
    sections = [settings.get("rewards"), settings.get("general_rewards")]
    weights: dict[str, float] = {}
    for section in filter(None, sections):
        weights = {part: max(weight, weights.get(part, 0.0)) for part, weight in section.items()}
    idle = {f"rewards/{part}/mean" for part, weight in weights.items() if not weight}
    return [{key: value for key, value in row.items() if key not in idle} for row in rows]


def svg(panel: Panel, rows: MetricsRows) -> str:
    """Return a panel as an `<svg>` element in the colours of the surrounding page."""

    def draw(figure: Figure, ink: str) -> None:
        paint_panel(figure, panel, rows, ink)

    return as_svg(SIZE_IN, draw, f"{panel.key}-{rows[0]['stage']}")


def paint_panel(figure: Figure, panel: Panel, rows: MetricsRows, ink: str) -> None:
    """Draw a panel as a whole picture."""
    [ax] = _grid(figure, [panel], 1)
    _draw_panel(ax, panel, rows, ink)


def as_svg(size: tuple[float, float], draw: DrawPicture, salt: str) -> str:
    """Return a picture as an `<svg>` element; `salt` makes its ids unique and reproducible."""
    text = _svg(_figure(size, draw, INK, "none"), salt)
    return text[text.index("<svg") :].replace(INK, "currentColor")


def save(evidence: RunContents, path: Path, language: str = "en") -> bool:
    """Save all panels in one picture on white, `path`.png and `path`.svg; False if none."""
    pairs = panels(evidence, language)
    if not pairs:
        return False

    def draw(figure: Figure, ink: str) -> None:
        axes = _grid(figure, [panel for panel, _ in pairs], 2)
        for ax, (panel, rows) in zip(axes, pairs, strict=True):
            _draw_panel(ax, panel, rows, ink)
            ax.set_title(panel.title, loc="left", color=ink, fontsize=11)

    save_picture((2 * SIZE_IN[0], -(-len(pairs) // 2) * SIZE_IN[1]), draw, path)
    return True


def save_picture(size: tuple[float, float], draw: DrawPicture, path: Path) -> None:
    """Save a picture on white as `path`.png, for viewers and mail, and as scalable `path`.svg."""
    figure = _figure(size, draw, PAPER, "white")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    replace_file(path.with_suffix(".png"), buffer.getvalue())
    replace_file(path.with_suffix(".svg"), _svg(figure, path.stem))


def _figure(size: tuple[float, float], draw: DrawPicture, ink: str, paper: str) -> Figure:
    figure = Figure(figsize=size, dpi=130, layout="constrained", facecolor=paper)
    draw(figure, ink)
    for ax in figure.axes:
        ax.patch.set_visible(False)
    return figure


def _svg(figure: Figure, salt: str) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        # Not savefig, which draws everything twice.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return buffer.getvalue()


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Return the centred mean over up to `window` values.

    Near both ends the window shrinks symmetrically, so that a curve begins with its first value and
    ends with its last: a mean of only later values would hide the start.
    """
    smoothed = []
    for index in range(len(values)):
        half = min(window // 2, index, len(values) - 1 - index)
        part = values[index - half : index + half + 1]
        smoothed.append(sum(part) / len(part))
    return smoothed


def _grid(figure: Figure, panels: Sequence[Panel], n_columns: int) -> list[Axes]:
    """Return the axes of the panels, row by row from the top."""
    figure.set_layout_engine("none")
    n_rows = -(-len(panels) // n_columns)
    total = (n_columns * SIZE_IN[0], n_rows * SIZE_IN[1])
    height = (SIZE_IN[1] - MARGINS_IN["bottom"] - MARGINS_IN["top"]) / total[1]
    axes = []
    for index, panel in enumerate(panels):
        row, column = divmod(index, n_columns)
        right = LEGEND_IN if panel.has_legend else MARGINS_IN["right"]
        left_margin = (column * SIZE_IN[0] + MARGINS_IN["left"]) / total[0]
        bottom = ((n_rows - 1 - row) * SIZE_IN[1] + MARGINS_IN["bottom"]) / total[1]
        width = (SIZE_IN[0] - MARGINS_IN["left"] - right) / total[0]
        axes.append(figure.add_axes((left_margin, bottom, width, height)))
    return axes


def _draw_panel(ax: Axes, panel: Panel, rows: MetricsRows, ink: str) -> None:
    panel.draw(ax, rows)
    t = Translator(panel.language)
    label = t("step of {stage}", stage=ascii_only(rows[0]["stage"]))
    ax.set_xlabel(label, color=ink, fontsize=9)
    style(ax, ink)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if panel.has_legend:
        handles, labels = ax.get_legend_handles_labels()
        ax.legend(
            handles, [t(name) if name == "all" else name for name in labels],
            frameon=False, fontsize=8, labelcolor=ink, loc="upper left", bbox_to_anchor=(1.0, 1.03),
            handlelength=1.2, handletextpad=0.5,
        )  # fmt: skip


def style(ax: Axes, ink: str) -> None:
    """Apply the style of all pictures: plain axes, faint horizontal lines."""
    ax.tick_params(colors=ink, labelsize=9, length=3)
    ax.margins(x=0.01)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
        spine.set_alpha(0.4)
    ax.set_axisbelow(True)
    ax.grid(axis="y", color=ink, alpha=0.12, linewidth=0.8)


def _line(
    ax: Axes, rows: MetricsRows, key: str, color: str, label: str = "", scale: float = 1.0
) -> None:
    """Plot the values faintly, under their moving mean."""
    points = [(row["step"], scale * row[key]) for row in rows if row.get(key) is not None]
    if not points:
        return
    steps, values = zip(*points, strict=True)
    window = max(1, len(values) // 20)
    if window > 1:
        ax.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
    # A single value draws no line, so it gets a marker.
    marker = "o" if len(values) == 1 else None
    ax.plot(steps, smooth(values, window), color=color, linewidth=1.8, label=label, marker=marker)


def _curve(key: str, bottom: float | None = 0.0, top: float | None = None) -> DrawPanel:
    def draw(ax: Axes, rows: MetricsRows) -> None:
        _line(ax, rows, key, COLORS[0])
        ax.set_ylim(bottom, top)

    return draw


def _accuracy(ax: Axes, rows: MetricsRows) -> None:
    tasks = sorted({key for row in rows for key in row if key.startswith("accuracy/")})
    for color, key in zip((COLORS[1:] * len(tasks))[: len(tasks)], tasks, strict=True):
        _line(ax, rows, key, color, ascii_only(key.removeprefix("accuracy/")), scale=100)
    _line(ax, rows, "rewards/accuracy/mean", COLORS[0], "all", scale=100)
    ax.set_ylim(0, 100)


def _rewards(ax: Axes, rows: MetricsRows) -> None:
    parts = sorted({key for row in rows for key in row if key.startswith("rewards/")})
    for color, key in zip((COLORS * len(parts))[: len(parts)], parts, strict=True):
        _line(ax, rows, key, color, ascii_only(key.split("/")[1]))
    ax.set_ylim(bottom=0)


def _phases(ax: Axes, rows: MetricsRows) -> None:
    phases = [phase for phase in PHASES if any(f"time/{phase}_s" in row for row in rows)]
    steps = [row["step"] for row in rows]
    values = [
        smooth([row.get(f"time/{phase}_s") or 0.0 for row in rows], max(1, len(rows) // 20))
        for phase in phases
    ]
    ax.stackplot(steps, *values, labels=phases, colors=COLORS[: len(phases)], alpha=0.85)
    ax.set_ylim(bottom=0)


def ascii_only(text: str) -> str:
    """Replace other characters by `?`: matplotlib's default font has no Korean or Chinese."""
    return text.encode("ascii", "replace").decode()


PANELS = (
    Panel(
        "accuracy",
        "Accuracy (%)",
        "Share of right answers in training, over all tasks and for each.",
        "rewards/accuracy/mean",
        _accuracy,
        has_legend=True,
    ),
    Panel(
        "length",
        "Completion length (tokens)",
        "Mean number of tokens, thinking included.",
        "completions/mean_length",
        _curve("completions/mean_length"),
    ),
    Panel(
        "reflection",
        "Reflection words per completion",
        "How often a completion looks back at itself: wait, check, 다시, 检查, ...",
        "completions/mean_reflections",
        _curve("completions/mean_reflections"),
    ),
    Panel(
        "entropy",
        "Entropy (nats per token)",
        "How open the policy still is to other continuations.",
        "entropy",
        _curve("entropy"),
    ),
    Panel(
        "rewards",
        "Reward parts",
        "Each part that is rewarded in this stage, before its weight.",
        "reward",
        _rewards,
        has_legend=True,
    ),
    Panel(
        "language",
        "Language consistency",
        "Share of a completion's words that are in the question's language.",
        "language_consistency",
        _curve("language_consistency", top=1.0),
    ),
    Panel(
        "time",
        "Seconds per step, by phase",
        "Where the time goes.",
        "time/sample_s",
        _phases,
        has_legend=True,
    ),
    Panel(
        "loss",
        "Loss (nats)",
        "Mean loss per token; of a reward model, per pair or labelled completion.",
        "loss",
        _curve("loss", bottom=None),
    ),
)
