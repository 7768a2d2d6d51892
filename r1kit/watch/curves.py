"""Curves for a screen: smoothed, cut to a range, reduced to the pixels there are, over seeds."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

Values = Sequence[float | None]


@dataclass(frozen=True)
class CurveView:
    """The part of a curve to draw: `CurveView(n_buckets=400, first=100, last=None, weight=0.6)`."""

    n_buckets: int
    """number of pixel columns; a curve with more than twice as many points is reduced"""
    first: float | None = None
    """first step; None from the start"""
    last: float | None = None
    """last step; None to the end"""
    weight: float = 0.0
    """of the exponential moving average; 0 does not smooth"""


def curve(steps: Sequence[int], values: Values, view: CurveView) -> dict[str, Any]:
    """Return the points to draw: `x` and `y`, and the unsmoothed `raw_x` and `raw_y` if smoothed.

    A bucket keeps its smallest and its largest value, so that no spike is lost.
    """
    x, y = _reduced(*_cut(steps, values, view), view.n_buckets)
    if not view.weight:
        return {"x": x, "y": y}
    smooth = smoothed(values, view.weight)
    smooth_x, smooth_y = _reduced(*_cut(steps, smooth, view), view.n_buckets)
    return {"x": smooth_x, "y": smooth_y, "raw_x": x, "raw_y": y}


def smoothed(values: Values, weight: float) -> list[float | None]:
    """Return the exponential moving average, corrected for its start, as TensorBoard draws it."""
    result: list[float | None] = []
    mean = total = 0.0
    for value in values:
        if value is None:
            result.append(None)
            continue
        mean = weight * mean + (1 - weight) * value
        total = weight * total + (1 - weight)
        result.append(mean / total)
    return result


def band(curves: Sequence[tuple[Sequence[int], Values]], view: CurveView) -> dict[str, Any]:
    """Return the mean of several runs, and the `low` and `high` between which all of them lie.

    A step counts if every run that has not ended before it has a value there.
    """
    if all(steps == curves[0][0] and None not in y for steps, y in curves):
        return _whole_band(curves, view)
    rows = _band_rows(curves, view)
    size = max(1, math.ceil(len(rows) / view.n_buckets))
    buckets = [rows[start : start + size] for start in range(0, len(rows), size)]
    return {
        "x": [bucket[len(bucket) // 2][0] for bucket in buckets],
        "y": [_short(math.fsum(row[1] for row in bucket) / len(bucket)) for bucket in buckets],
        "low": [_short(min(row[2] for row in bucket)) for bucket in buckets],
        "high": [_short(max(row[3] for row in bucket)) for bucket in buckets],
        "n": max((row[4] for row in rows), default=0),
    }


def _whole_band(curves: Sequence[tuple[Sequence[int], Values]], view: CurveView) -> dict[str, Any]:
    """Return the band of runs that all have a value at every step, the usual case, in a tenth."""
    steps, n = curves[0][0], len(curves)
    every_y = [cast("Sequence[float]", _maybe_smoothed(y, view)) for _, y in curves]
    first = 0 if view.first is None else bisect_left(steps, view.first)
    last = len(steps) if view.last is None else bisect_right(steps, view.last)
    size = max(1, math.ceil((last - first) / view.n_buckets))
    ranges = [(start, min(last, start + size)) for start in range(first, last, size)]
    cuts = [[y[start:end] for y in every_y] for start, end in ranges]
    return {
        "x": [steps[start + (end - start) // 2] for start, end in ranges],
        "y": [_short(sum(map(sum, cut)) / (n * len(cut[0]))) for cut in cuts],
        "low": [_short(min(map(min, cut))) for cut in cuts],
        "high": [_short(max(map(max, cut))) for cut in cuts],
        "n": n if ranges else 0,
    }


_BandRow = tuple[int, float, float, float, int]


def _band_rows(curves: Sequence[tuple[Sequence[int], Values]], view: CurveView) -> list[_BandRow]:
    """Return (step, mean, lowest, highest, number of runs) of each step that counts."""
    every_y = [_maybe_smoothed(y, view) for _, y in curves]
    smooth = [
        dict(zip(steps, y, strict=True)) for (steps, _), y in zip(curves, every_y, strict=True)
    ]
    ends = sorted(max(steps, default=0) for steps, _ in curves)
    every = sorted(set().union(*smooth))
    rows: list[_BandRow] = []
    for step in _within(every, view):
        points_at = [points.get(step) for points in smooth]
        numbers = [value for value in points_at if value is not None]
        if numbers and len(numbers) >= len(ends) - bisect_left(ends, step):
            mean = sum(numbers) / len(numbers)
            rows.append((step, mean, min(numbers), max(numbers), len(numbers)))
    return rows


def _maybe_smoothed(values: Values, view: CurveView) -> Values:
    return smoothed(values, view.weight) if view.weight else values


def _within(steps: Sequence[int], view: CurveView) -> Sequence[int]:
    first = 0 if view.first is None else bisect_left(steps, view.first)
    last = len(steps) if view.last is None else bisect_right(steps, view.last)
    return steps[first:last]


def _cut(steps: Sequence[int], values: Values, view: CurveView) -> tuple[Sequence[int], Values]:
    """Cut to the range, with one more point on either side, to which the line is drawn."""
    first = 0 if view.first is None else max(0, bisect_left(steps, view.first) - 1)
    last = len(steps) if view.last is None else bisect_right(steps, view.last) + 1
    return steps[first:last], values[first:last]


def _reduced(
    steps: Sequence[int], values: Values, n_buckets: int
) -> tuple[list[int], list[float | None]]:
    n = len(steps)
    if n <= 2 * n_buckets:
        return list(steps), [_short(value) for value in values]
    x: list[int] = []
    y: list[float | None] = []
    for bucket in range(n_buckets):
        inside = range(bucket * n // n_buckets, (bucket + 1) * n // n_buckets)
        numbers = [(value, i) for i in inside if (value := values[i]) is not None]
        indices = sorted({min(numbers)[1], max(numbers)[1]}) if numbers else [inside.start]
        if inside.stop == n and indices[-1] != n - 1:  # the latest value is the one that is read
            indices.append(n - 1)
        x += [steps[i] for i in indices]
        y += [_short(values[i]) for i in indices]
    return x, y


def _short(value: float | None) -> float | None:
    """Round to six digits, which a screen cannot show either."""
    return None if value is None else float(f"{value:.6g}")
