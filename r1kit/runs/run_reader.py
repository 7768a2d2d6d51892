"""Reading a run folder: layout, checkpoints and records. Does not import torch.

Writing is in `run_dir.py`; report, diagnosis and chat only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1kit.errors import RunError
from r1kit.files.atomic import MARKER, TEMPORARY
from r1kit.files.checksums import Checksum, of_file
from r1kit.files.json_lines import REMEDY_LINES
from r1kit.files.text_files import did_you_mean
from r1kit.files.untrusted import to_json
from r1kit.runs.schemas import (
    Clock,
    ForecastFile,
    ForecastStage,
    Manifest,
    MetricsLine,
    ProgressRecord,
    ResolvedRecipe,
    Results,
    Sample,
)
from r1kit.runs.stage_specs import is_main, stage_order
from r1kit.runs.validated import damaged_file_error, read_json, read_records
from r1kit.runs.verify_artifacts import RecordLines, refuse_other_lines

RECORDS = ("metrics.jsonl", "samples.jsonl")
FORECAST = "forecast.json"
PROGRESS = "progress.json"


@dataclass(frozen=True)
class RunContents:
    """The content of a run folder. `metrics` and `samples` are in the order of writing."""

    path: Path
    manifest: dict[str, Any]
    recipe: dict[str, Any]
    metrics: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    results: dict[str, Any]
    clock: dict[str, float]
    forecast: Mapping[str, ForecastStage] = field(default_factory=dict)
    """forecast by stage; empty if the run was too short for one"""


def read(path: Path) -> RunContents:
    """Read a run folder, also while it is being written. Raises RunError if it is not one."""
    if not path.is_dir():
        near = did_you_mean(path)
        raise RunError(f"There is no run at {path}{near} `r1 run tiny` starts one.")
    manifest = read_manifest(path)
    metrics = read_metrics(path / "metrics.jsonl")
    samples = read_records(path / "samples.jsonl", Sample, REMEDY_LINES)
    for name, lines in zip(RECORDS, (metrics, samples), strict=True):
        refuse_other_lines(path, manifest["finished"], name, lines)
    return RunContents(
        path=path,
        manifest=manifest,
        recipe=read_recipe(path, manifest),
        metrics=[record for _, record in metrics],
        samples=[record for _, record in samples],
        results=read_results(path),
        clock=read_clock(path),
        forecast=read_forecast(path),
    )


def checkpoints(run: Path, stage: str) -> list[Path]:
    """Return the valid checkpoints of `stage` in a run folder, oldest first."""
    folders = [path.parent for path in run.joinpath("checkpoints").glob(f"*/{MARKER}")]
    own = [path for path in folders if stage_and_step(path)[0] == stage]
    return sorted(own, key=lambda path: stage_and_step(path)[1])


def newest_checkpoint(run: Path) -> Path | None:
    """Return the newest valid checkpoint of the latest main-path stage in a run folder."""
    folders = [path.parent for path in run.joinpath("checkpoints").glob(f"*/{MARKER}")]
    visible = [
        path
        for path in folders
        if not path.name.startswith(TEMPORARY) and is_main(stage_and_step(path)[0])
    ]
    ranked = sorted(visible, key=lambda path: (stage_order(path.name), stage_and_step(path)[1]))
    return ranked[-1] if ranked else None


def stage_and_step(path: Path) -> tuple[str, int]:
    """Parse the name of a checkpoint folder; the step is -1 if the name has none."""
    stage, _, step = path.name.rpartition("-")
    return stage.replace(".", "/"), int(step) if step.isdecimal() else -1


def is_later(stage: str, step: int | None, than_stage: str, than_step: int) -> bool:
    """Return True if (stage, step) is after the given point; step None is the end of a stage."""
    if stage == than_stage:
        return step is None or step > than_step
    return stage_order(stage) > stage_order(than_stage)


def read_manifest(path: Path) -> dict[str, Any]:
    """Read manifest.json of the run at `path`. Raises RunError if it is missing or damaged."""
    remedy = "restore it from a copy, or use another --out"
    manifest: dict[str, Any] | None = read_json(path / "manifest.json", Manifest, remedy)
    if manifest is None:
        raise RunError(f"{path} is not a run: it has no manifest.json. Name the folder of a run.")
    return manifest


def read_recipe(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Read recipe.json of a run; {} if missing. Raises RunError if it is damaged."""
    file, remedy = path / "recipe.json", "delete it: the command that made the run writes it again"
    recipe = read_json(file, ResolvedRecipe, remedy) or {}
    if recipe and manifest.get("recipe_file") not in (None, of_file(file)):
        raise damaged_file_error(file, ValueError("it has changed since it was written"), remedy)
    return {key: value for key, value in recipe.items() if value is not None}


def seed_group(recipe: Mapping[str, Any]) -> str:
    """Return a text that is the same for runs that differ only in seed and machine; "" for {}."""
    other = {key: value for key, value in recipe.items() if key not in ("seed", "compute")}
    return str(Checksum(to_json(other).encode())) if other else ""


def read_metrics(file: Path) -> RecordLines:
    """Read metrics.jsonl. Raises RunError if it is damaged or has the names of an earlier r1kit."""
    lines = read_records(file, MetricsLine, REMEDY_LINES)
    if any("lr" in line for _, line in lines):
        raise _earlier(file)
    return lines


def read_results(path: Path) -> dict[str, Any]:
    """Read results.json of a run; {} if missing.

    Raises RunError if it is damaged, or in the format in which a stage had a single benchmark.
    """
    file = path / "results.json"
    remedy = "delete it: the command that made the run measures its finished stages again"
    content = read_json(file, dict[str, Any], remedy) or {}
    stages = content.get("stages")
    entries = stages.values() if isinstance(stages, dict) else ()
    if any(isinstance(entry, dict) and "pass_at_1" in entry for entry in entries):
        raise _earlier(file)
    results: dict[str, Any] | None = read_json(file, Results, remedy)
    return results or {}


def _earlier(file: Path) -> RunError:
    return RunError(
        f"{file} was written by an earlier r1kit, in another format. Show or resume the run with "
        "that r1kit (manifest.json has its version and commit), or run the recipe again with "
        "another --out. Its checkpoints open as before."
    )


def read_forecast(path: Path) -> dict[str, ForecastStage]:
    """Return the forecast of each stage; {} if there is none. Raises RunError if it is damaged."""
    stored = read_json(path / FORECAST, ForecastFile, "delete it: nothing depends on it")
    stages: dict[str, ForecastStage] = (stored or {}).get("stages", {})
    return stages


def read_progress(path: Path) -> ProgressRecord | None:
    """Return the content of progress.json; None if it is missing or damaged."""
    try:
        progress: ProgressRecord | None = read_json(path / PROGRESS, ProgressRecord, "")
    except RunError:
        return None
    return progress


def read_clock(path: Path) -> dict[str, float]:
    """Return the seconds spent in each stage; missing stages are filled in from results.json.

    clock.json is not flushed to disk and nothing depends on it; a damaged file is ignored and
    written anew.
    """
    try:
        clock: dict[str, float] = read_json(path / "clock.json", Clock, "") or {}
    except RunError:
        clock = {}
    results = read_results(path)
    measured = {**results.get("stages", {})}
    measured |= {f"preference/{k}": v for k, v in results.get("preference", {}).items()}
    recorded = {stage: facts["wall_s"] for stage, facts in measured.items() if "wall_s" in facts}
    return {**{stage: spent for stage, spent in recorded.items() if stage not in clock}, **clock}
