"""Curves for the screen, against values worked out by hand."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.diagnose import diagnose
from r1kit.watch.curves import CurveView, band, curve, smoothed
from r1kit.watch.metric_columns import MetricColumns

LINES: list[dict[str, Any]] = [{"a": 1}, {"a": None, "b": 2.5}, {"note": "x", "b": True}]
ROOT = Path(__file__).parents[2]


def test_few_points_are_drawn_as_they_are() -> None:
    assert curve([1, 2, 3], [0.5, None, 2.0], CurveView(10)) == {
        "x": [1, 2, 3],
        "y": [0.5, None, 2],
    }


@given(st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=400), st.integers(10, 40))
def test_no_extreme_and_no_latest_value_is_lost(values: list[float | None], n: int) -> None:
    drawn = curve(range(len(values)), values, CurveView(n))
    assert (
        len(drawn["x"])
        == len(drawn["y"])
        <= max(2 * n + 1, len(values) if len(values) <= 2 * n else 0)
    )
    assert drawn["x"] == sorted(set(drawn["x"]))
    numbers = [float(f"{value:.6g}") for value in values if value is not None]
    shown = [value for value in drawn["y"] if value is not None]
    if numbers:
        assert (min(shown), max(shown)) == (min(numbers), max(numbers))
    assert drawn["x"][-1] == len(values) - 1


def test_a_zoomed_curve_goes_on_to_its_neighbours() -> None:
    view = CurveView(10, first=3, last=5)
    assert curve(range(10), [float(i) for i in range(10)], view)["x"] == [2, 3, 4, 5, 6]


def test_smoothing_is_the_corrected_average_and_keeps_the_raw_curve() -> None:
    # m1 = 4; m2 = (0.5 * 0.5 * 4 + 0.5 * 0) / 0.75; the gap changes nothing
    assert smoothed([4.0, None, 0.0], 0.5) == [4.0, None, pytest.approx(4 / 3)]
    drawn = curve([1, 2, 3], [4.0, None, 0.0], CurveView(10, weight=0.5))
    assert drawn["raw_y"] == [4, None, 0]
    assert drawn["y"] == [4, None, 1.33333]
    late = curve([1, 2, 3], [4.0, 0.0, 0.0], CurveView(10, first=3, weight=0.5))
    assert late["y"][-1] == pytest.approx(4 / 7, abs=1e-5)  # smoothed from the first step on


def test_a_band_is_the_mean_and_the_extremes_of_the_seeds() -> None:
    one = ([1, 2, 3], [1.0, 2.0, 3.0])
    two = ([1, 2], [3.0, 6.0])  # ended, or still behind, after step 2
    assert band([one, two], CurveView(10)) == {
        "x": [1, 2, 3], "y": [2, 4, 3], "low": [1, 2, 3], "high": [3, 6, 3], "n": 2,
    }  # fmt: skip
    assert band([one, two], CurveView(1))["low"] == [1]
    assert band([one, two], CurveView(1))["high"] == [6]


def test_a_step_that_a_running_seed_lacks_is_left_out() -> None:
    gap = ([1, 3], [0.0, 0.0])
    assert band([([1, 2, 3], [1.0, 1.0, 1.0]), gap], CurveView(10))["x"] == [1, 3]


def test_columns_tell_null_from_missing() -> None:
    columns = MetricColumns()
    for step, line in enumerate(LINES, 1):
        columns.append({"stage": "zero", "step": step, **line})
    columns.append({"stage": "zero", "step": 3, "a": 9})  # a step that is there
    assert columns.series("a") == ([1, 2], [1.0, None])
    assert columns.series("b") == ([2], [2.5])
    assert list(columns.rows("zero"))[1:] == [
        {"stage": "zero", "step": 2, "a": None, "b": 2.5},
        {"stage": "zero", "step": 3},
    ]
    assert (columns.recent("a"), columns.largest("b"), columns.recent("c")) == (1.0, 2.5, None)
    assert math.isnan(columns._columns["b"][0])


def test_the_diagnosis_of_the_columns_is_that_of_the_lines() -> None:
    folder = ROOT / "results" / "2026-11-28-tiny"
    lines = [json.loads(line) for line in (folder / "metrics-seed0.jsonl").read_text().splitlines()]
    columns: dict[str, MetricColumns] = {}
    for line in lines:
        columns.setdefault(line["stage"], MetricColumns()).append(line)
    again = [row for stage, own in columns.items() for row in own.rows(stage)]
    assert diagnose(again, {}) == diagnose(lines, {})
