"""The forecast of a run beside what is measured: stored in its folder, and noted in its view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1kit.console.formatting import duration
from r1kit.console.progress import ForwardingObserver, MetricValues, Observer
from r1kit.files.atomic import replace_file, seal, to_json
from r1kit.forecast.base_completions import completions_of
from r1kit.forecast.recipe_forecast import Forecast
from r1kit.forecast.show import span
from r1kit.runs.run_reader import FORECAST
from r1kit.runs.schemas import ForecastStage


def planned(forecast: Forecast) -> dict[str, ForecastStage]:
    """Return the numbers of a forecast that a run can be compared with, by stage."""
    stages = {
        stage.name: ForecastStage(
            step_s=stage.step_s, wall_s=stage.seconds, peak_mb=stage.peak / 1e6
        )
        for stage in forecast.stages
    }
    for stage in forecast.expected.stages if forecast.expected else ():
        stages[stage.name]["expected_step_s"] = stage.step_s
    return stages


class ForecastObserver(ForwardingObserver):
    """An observer that forwards calls to `inner`, and notes the first step of each stage.

    With a `forecast` it also notes the expected time as soon as the base is measured.
    """

    def __init__(
        self,
        inner: Observer,
        run: Path,
        stages: Mapping[str, ForecastStage],
        forecast: Forecast | None = None,
    ) -> None:
        super().__init__(inner)
        self._file = run / FORECAST
        self._stages = stages
        self._forecast = forecast
        self._n_steps: dict[str, int] = {}
        self._noted: set[str] = set()

    def stage_started(self, stage: str, n_steps: int, what: str) -> None:
        self._n_steps[stage] = n_steps
        if not self._file.exists():
            self._write()
        super().stage_started(stage, n_steps, what)

    def step(self, stage: str, step: int, metrics: MetricValues) -> None:
        super().step(stage, step, metrics)
        if stage in self._stages and stage not in self._noted and "step_time" in metrics:
            self._noted.add(stage)
            n_steps = self._n_steps.get(stage, step)
            self.note(comparison(stage, step, n_steps, metrics, self._stages[stage]))

    def stage_finished(self, stage: str, summary: Mapping[str, Any]) -> None:
        super().stage_finished(stage, summary)
        completions = completions_of(summary) if stage == "base" else None
        if self._forecast is None or completions is None:
            return
        made = replace(self._forecast, completions=completions)
        self._stages = planned(made)
        self._write()
        if made.expected is not None:
            self.note(
                f"The base writes {completions.mean_tokens:.0f} tokens per completion: the plan "
                f"expects {span(made.expected.seconds)}, at most {span(made.seconds)}."
            )

    def _write(self) -> None:
        replace_file(self._file, to_json(seal({"stages": self._stages}), indent=2) + "\n")


def comparison(
    stage: str, step: int, n_steps: int, metrics: MetricValues, forecast: ForecastStage
) -> str:
    """Return the measured seconds and memory of a step beside the planned ones, in words.

    `zero, step 1: 4.1 s (planned: 3.9, at most 9.8), 2.1 GB in a process (planned: 2.3). At this
    rate the steps left take 2m 40s.`
    """
    seconds, most = metrics["step_time"], f"at most {forecast['step_s']:.1f}"
    expected = forecast.get("expected_step_s")
    plan = most if expected is None else f"{expected:.1f}, {most}"
    text = f"{stage}, step {step}: {seconds:.1f} s (planned: {plan})"
    if "memory/peak_mb" in metrics:
        peak, planned_peak = (mb / 1000 for mb in (metrics["memory/peak_mb"], forecast["peak_mb"]))
        text += f", {peak:.1f} GB in a process (planned: {planned_peak:.1f})"
    n_left = n_steps - step
    left = f". At this rate the {n_left} steps left take {duration(n_left * seconds)}."
    return text + left if n_left > 1 else text
