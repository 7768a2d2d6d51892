"""Compares the forecast of `r1 plan` with real runs: peak memory and seconds per step.

    python -m benchmarks.forecast                       # four new models
    python -m benchmarks.forecast --model FOLDER        # and an existing one, in both dtypes

Every case is a real `r1 run` in a fresh process. Memory is the largest resident set that the
kernel recorded for a process of the run; seconds are the medians of its metrics. The forecast is
made with the completion length that the run turned out to have. Run it on an idle machine: memory
does not depend on the load, seconds do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1kit import config
from r1kit.forecast.recipe_forecast import Forecast, forecast

COMMON: dict[str, Any] = {
    "languages": ["en"],
    "tasks": [{"name": "arithmetic"}],
    "base": {"tokens": 20_000, "batch_tokens": 4096},
    "eval": {"n_problems": 16, "max_tokens": 64},
}
LLAMA = {"n_heads": 8, "n_kv_heads": 4, "vocab_size": 4096}


@dataclass(frozen=True)
class Case:
    """A recipe to forecast and to run."""

    name: str
    model: Mapping[str, Any]
    zero: Mapping[str, Any]
    compute: Mapping[str, Any] = field(default_factory=lambda: {"n_processes": 1})

    def recipe(self) -> config.Recipe:
        zero = {"n_steps": 3, "n_problems": 8, "n_completions": 8, "max_tokens": 64} | dict(
            self.zero
        )
        # A penalty for length gives every group a signal, so that all of it is learned from.
        zero["overlong_buffer"] = zero["max_tokens"]
        zero["optim"] = {"lr": 1e-6, "muon_lr": 1e-5, **zero.get("optim", {})}
        facts = {"name": self.name, "model": self.model, "zero": zero, "compute": self.compute}
        return config.parse(COMMON | facts, self.name)


CASES = (
    Case("1m", {}, {"n_problems": 32, "n_completions": 16, "max_tokens": 160}),
    Case("12m", {**LLAMA, "hidden": 320, "intermediate": 896, "n_layers": 8}, {}),
    Case("12m-kl", {**LLAMA, "hidden": 320, "intermediate": 896, "n_layers": 8},
         {"beta": 0.01, "updates_per_step": 2, "max_tokens": 160}),
    Case("50m-2", {**LLAMA, "hidden": 640, "intermediate": 1792, "n_layers": 10},
         {"optim": {"optimizer": "muon"}}, {"n_processes": 2, "micro_batch_tokens": 1024}),
    Case("50m-long", {**LLAMA, "hidden": 640, "intermediate": 1792, "n_layers": 10},
         {"max_tokens": 256, "n_problems": 4}, {"n_processes": 1, "micro_batch_tokens": 4096}),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, help="folder of an existing model")
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    asked = parser.parse_args()
    cases = list(CASES)
    if asked.model is not None:
        model, micro = {"path": str(asked.model)}, {"n_processes": 1, "micro_batch_tokens": 1024}
        for dtype in ("float32", "bfloat16"):
            cases.append(Case(dtype, model, {"max_tokens": 48}, {**micro, "dtype": dtype}))
    rows = [compare(case) for case in cases if not asked.only or case.name in asked.only]
    print(f"{'case':<10} {'GB planned':>10} {'measured':>9} {'off':>6}   "
          f"{'s/step planned':>14} {'measured':>9} {'off':>6}")  # fmt: skip
    for row in rows:
        print(f"{row['case']:<10} {row['planned_gb']:>10.2f} {row['peak_gb']:>9.2f} "
              f"{_off(row['planned_gb'], row['peak_gb']):>6}   {row['planned_s']:>14.2f} "
              f"{row['step_s']:>9.2f} {_off(row['planned_s'], row['step_s']):>6}")  # fmt: skip
    if asked.json is not None:
        asked.json.write_text(json.dumps({"load": os.getloadavg(), "rows": rows}, indent=2) + "\n")


def compare(case: Case) -> dict[str, Any]:
    """Forecast a case, run it, and return both."""
    recipe = case.recipe()
    before = forecast(recipe, is_new=True)
    with tempfile.TemporaryDirectory(prefix="forecast-") as folder:
        peak, metrics = run(recipe, Path(folder))
    steps = [row for row in metrics if row["stage"] == "zero"][1:]
    n = recipe.zero.n_problems * recipe.zero.n_completions
    length = statistics.median(row["n_completion_tokens"] for row in steps) / n
    made = before.with_recipe(recipe, length / recipe.zero.max_tokens)
    return {
        "case": case.name,
        "planned_gb": before.largest.peak / 1e9,
        "peak_gb": peak / 1e9,
        "phases": {s.name: phases_of(before, s.name) for s in before.stages},
        "planned_s": next(s.step_s for s in made.stages if s.name == "zero"),
        "step_s": statistics.median(row["step_time"] for row in steps),
        "planned_split": [(s.sample_s, s.learn_s) for s in made.stages if s.name == "zero"],
        "split": [(row["time/sample_s"], row["time/learn_s"]) for row in steps],
        "length": length,
    }


def phases_of(made: Forecast, stage: str) -> dict[str, float]:
    """Return the forecast memory of each phase of a stage in GB."""
    [planned] = [item for item in made.stages if item.name == stage]
    return {phase: round(sum(parts.values()) / 1e9, 3) for phase, parts in planned.phases.items()}


def run(recipe: config.Recipe, folder: Path) -> tuple[float, list[dict[str, Any]]]:
    """Run a recipe in a process of its own; return its peak memory in bytes, and its metrics."""
    file = folder / "recipe.json"
    file.write_text(recipe.model_dump_json(), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.forecast_run", str(file), str(folder / "run")]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return float(answer.stdout.splitlines()[-1]), [json.loads(line) for line in lines]


def _off(planned: float, measured: float) -> str:
    return f"{100 * (planned / measured - 1):+.0f} %"


if __name__ == "__main__":
    main()
