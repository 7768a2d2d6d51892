"""The forecast of a run beside what is measured: stored in its folder, and noted in its view."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from r1kit.console.progress import ForwardingObserver, MetricValues, Observer
from r1kit.files.atomic import replace_file, seal, to_json
from r1kit.forecast.recipe_forecast import Forecast
from r1kit.runs.run_reader import FORECAST
from r1kit.runs.schemas import ForecastStage

GB = 1e9


def planned(forecast: Forecast) -> dict[str, ForecastStage]:
    """Return the numbers of a forecast that a run can be compared with, by stage."""
    return {
        stage.name: ForecastStage(
            step_s=stage.step_s, wall_s=stage.seconds, peak_mb=stage.peak / 1e6
        )
        for stage in forecast.stages
    }


class ForecastObserver(ForwardingObserver):
    """An observer that forwards calls to `inner`, and notes the first step of each stage."""

    def __init__(self, inner: Observer, run: Path, stages: Mapping[str, ForecastStage]) -> None:
        super().__init__(inner)
        self._file = run / FORECAST
        self._stages = stages
        self._noted: set[str] = set()

    def stage_started(self, stage: str, n_steps: int, what: str) -> None:
        if not self._file.exists():
            replace_file(self._file, to_json(seal({"stages": self._stages}), indent=2) + "\n")
        super().stage_started(stage, n_steps, what)

    def step(self, stage: str, step: int, metrics: MetricValues) -> None:
        super().step(stage, step, metrics)
        if stage in self._stages and stage not in self._noted and "step_time" in metrics:
            self._noted.add(stage)
            self.note(comparison(stage, step, metrics, self._stages[stage]))


def comparison(stage: str, step: int, metrics: MetricValues, forecast: ForecastStage) -> str:
    """Return `zero, step 1: 4.1 s (planned: at most 3.8), 2.1 GB in a process (2.3)`."""
    seconds = f"{metrics['step_time']:.1f} s (planned: at most {forecast['step_s']:.1f})"
    if "memory/peak_mb" not in metrics:
        return f"{stage}, step {step}: {seconds}"
    peak = metrics["memory/peak_mb"] / 1000
    return f"{stage}, step {step}: {seconds}, {peak:.1f} GB in a process ({_gb(forecast)})"


def _gb(forecast: ForecastStage) -> str:
    return f"{forecast['peak_mb'] / 1000:.1f}"
