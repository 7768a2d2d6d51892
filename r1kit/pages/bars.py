"""Samples as pictures: a bar with its error for each model, and accuracy against thinking budget.

All texts are escaped: models choose their answers, and servers the names of models. Every picture
says its numbers in words too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from r1kit.pages.i18n import say
from r1kit.pages.samples import AnswerSample, ModelComparison, SampleTally, tally

MAX_ANSWERS = 6
"""answers that are listed under a bar"""
_SIGNS = {True: "✓", False: "✗", None: "?"}
_CLASSES = {True: "right", False: "wrong", None: "open"}
_WIDTH, _HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 16, 14, 44
"""pixels around the plot"""
_SHIFT = 7
"""pixels between the points of two models at one budget, so that their errors do not overlap"""


def summary(comparison: ModelComparison, samples: Sequence[AnswerSample], language: str) -> str:
    """Return what stands under a column: the verdict of one sample, or the bar of several."""
    if comparison.n == 1:
        return _verdict(samples[0], language) if comparison.gold and samples[0].is_over else ""
    counts = tally(samples)
    parts = [_marks(samples, bool(comparison.gold), language)]
    if comparison.gold and counts.n_decided:
        parts.append(_bar(counts, language))
    if counts.n:
        parts.append(_answers(counts, samples, language))
        parts.append(f"<p>{escape(say(language, 'mean_tokens', counts.mean_tokens))}</p>")
    return f'<div class="r1-samples">{"".join(parts)}</div>'


def _verdict(sample: AnswerSample, language: str) -> str:
    if not sample.is_counted or sample.verdict is None:
        return ""
    is_right = sample.verdict.correct
    word = {True: "right", False: "wrong", None: "undecided"}[is_right]
    read = sample.answer
    text = say(language, "read_as", read) if read else say(language, "no_answer")
    why = f" title={_quoted(sample.verdict.why)}" if sample.verdict.why else ""
    return (f'<p class="r1-verdict r1-{_CLASSES[is_right]}"{why}><b>{_SIGNS[is_right]} '
            f"{escape(say(language, word))}</b> · {escape(text)}</p>")  # fmt: skip


def _marks(samples: Sequence[AnswerSample], is_graded: bool, language: str) -> str:
    """Return a mark for every sample, in the order in which they were asked for."""
    marks = []
    for sample in samples:
        kind, sign = "waiting", "·"
        if sample.is_counted:
            kind = _CLASSES[sample.is_right] if is_graded else "done"
            sign = _SIGNS[sample.is_right] if is_graded else "•"
        elif sample.is_over:
            kind, sign = "failed", "–"
        marks.append(f'<i class="r1-{kind}">{sign}</i>')
    n_over = sum(sample.is_over for sample in samples)
    label = say(language, "progress", n_over, len(samples))
    return f'<div class="r1-marks" role="img" aria-label={_quoted(label)}>{"".join(marks)}</div>'


def _bar(counts: SampleTally, language: str) -> str:
    low, high = counts.interval
    text = say(language, "rate", counts.n_right, counts.n_decided, counts.share, low, high)
    percents = [f"{100 * value:.1f}%" for value in (counts.share, low, high - low)]
    return (f'<div class="r1-bar" aria-hidden="true"><span style="width: {percents[0]}"></span>'
            f'<em style="left: {percents[1]}; width: {percents[2]}"></em></div>'
            f"<p><b>{escape(text)}</b></p>")  # fmt: skip


def _answers(counts: SampleTally, samples: Sequence[AnswerSample], language: str) -> str:
    verdicts = {sample.answer: sample.is_right for sample in samples if sample.verdict}
    parts = []
    for answer, n in counts.answers[:MAX_ANSWERS]:
        name = escape(answer) if answer else escape(say(language, "no_answer"))
        sign = f" {_SIGNS[verdicts[answer]]}" if answer in verdicts else ""
        parts.append(f"<li><code>{name}</code> ×{n}{sign}</li>")
    if len(counts.answers) > MAX_ANSWERS:
        parts.append("<li>…</li>")
    return f"<ul>{''.join(parts)}</ul>"


def curve(comparison: ModelComparison, language: str) -> str:
    """Return the picture of accuracy against thinking budget, with its numbers as a table."""
    if comparison.problem:
        return f'<p role="status">{escape(say(language, comparison.problem))}</p>'
    if not comparison.has_curve:
        return ""
    budgets = _ordered({budget for _, budget in comparison.cells})
    lines = [_line(comparison, model, i, budgets) for i, model in enumerate(comparison.models)]
    legend = "".join(f'<li class="r1-line-{i}"><span></span>{escape(model)}</li>'
                     for i, model in enumerate(comparison.models))  # fmt: skip
    progress = say(language, "progress", comparison.n_over, comparison.n_all)
    return (
        f'<figure class="r1-curve"><figcaption>{escape(say(language, "curve"))}'
        f"<small>{escape(progress)}</small></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">'
        f"{_axes(budgets, language)}{''.join(lines)}</svg>"
        f"<ul>{legend}</ul><p>{escape(say(language, 'interval'))}</p>"
        f"{_table(comparison, budgets, language)}</figure>"
    )


def _ordered(budgets: set[int | None]) -> list[int | None]:
    """Return budgets from the least to no limit."""
    return sorted(budgets, key=lambda budget: (budget is None, budget or 0))


def _x(place: int, n_places: int) -> float:
    share = place / (n_places - 1) if n_places > 1 else 0.5
    return _LEFT + 24 + share * (_WIDTH - _LEFT - _RIGHT - 48)


def _y(share: float) -> float:
    return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(budgets: Sequence[int | None], language: str) -> str:
    parts = []
    for percent in (0, 25, 50, 75, 100):
        y = _y(percent / 100)
        parts.append(f'<line class="r1-grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
                     f'y2="{y:.1f}"/><text x="{_LEFT - 8}" y="{y + 4:.1f}" '
                     f'text-anchor="end">{percent} %</text>')  # fmt: skip
    for place, budget in enumerate(budgets):
        parts.append(f'<text x="{_x(place, len(budgets)):.1f}" y="{_HEIGHT - _BOTTOM + 18}" '
                     f'text-anchor="middle">{escape(_name(budget, language))}</text>')  # fmt: skip
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
                 f"{escape(say(language, 'budget_axis'))}</text>")  # fmt: skip
    return "".join(parts)


def _line(comparison: ModelComparison, model: str, i: int, budgets: Sequence[int | None]) -> str:
    points, parts = [], []
    shift = _SHIFT * (i - (len(comparison.models) - 1) / 2)
    for place, budget in enumerate(budgets):
        counts = tally(comparison.cells.get((model, budget), ()))
        if not counts.n_decided:
            continue
        x, y = _x(place, len(budgets)) + shift, _y(counts.share)
        low, high = (_y(end) for end in counts.interval)
        points.append(f"{x:.1f},{y:.1f}")
        ends = "".join(f"M{x - 3:.1f} {end:.1f}h6" for end in (low, high))
        parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}{ends}"/>'
                     f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>')  # fmt: skip
    joined = f'<polyline points="{" ".join(points)}"/>' if len(points) > 1 else ""
    return f'<g class="r1-line-{i}">{joined}{"".join(parts)}</g>'


def _name(budget: int | None, language: str) -> str:
    if budget is None:
        return say(language, "unlimited")
    return say(language, "off") if budget == 0 else f"{budget}"


def _table(comparison: ModelComparison, budgets: Sequence[int | None], language: str) -> str:
    """Return the numbers of the picture for screen readers."""
    rows = []
    for model in comparison.models:
        for budget in budgets:
            counts = tally(comparison.cells.get((model, budget), ()))
            if counts.n_decided:
                rate = say(language, "rate", counts.n_right, counts.n_decided, counts.share,
                           *counts.interval)  # fmt: skip
                cells = (model, _name(budget, language), rate)
                rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    head = "".join(f"<th>{escape(say(language, name))}</th>"
                   for name in ("model", "budget", "curve"))  # fmt: skip
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table class="r1-unseen"><tr>{head}</tr>{body}</table>' if rows else ""


def _quoted(text: str) -> str:
    return f'"{escape(text, quote=True)}"'
