"""Reading a run folder: the layout, the checkpoints, and all that was written. Torch-free.

`rundir.py` is the writer's side; report, diagnosis and chat only read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.durable import MARKER, TEMPORARY, read_lines
from r1kit.errors import RunError
from r1kit.text_files import did_you_mean

STAGES = (
    "base",
    "zero",
    "cold_start",
    "reasoning",
    "rejection",
    "preference",
    "final",
    "distill",
    "ablation",
    "bench",
)
"""In the order of the paper; `distill/<student>` counts as distill."""

ASIDE = ("preference", "distill", "ablation")
"""stages whose models are not the one a run is about"""

RECORDS = ("metrics.jsonl", "samples.jsonl")


@dataclass(frozen=True)
class Evidence:
    """All a run wrote, for readers. `metrics` and `samples` are in the order of writing."""

    path: Path
    manifest: dict[str, Any]
    recipe: dict[str, Any]
    metrics: list[dict[str, Any]]
    samples: list[dict[str, Any]]
    results: dict[str, Any]
    clock: dict[str, float]


def read(path: Path) -> Evidence:
    """Read a run folder, also while it is being written. Raises RunError when it is not one."""
    if not path.is_dir():
        near = did_you_mean(path)
        raise RunError(f"There is no run at {path}{near} `r1 run tiny` starts one.")
    manifest = read_manifest(path)
    metrics, samples = ([record for _, record in read_lines(path / name)] for name in RECORDS)
    return Evidence(
        path=path,
        manifest=manifest,
        recipe=read_json(path / "recipe.json", {}),
        metrics=metrics,
        samples=samples,
        results=read_json(path / "results.json", {}),
        clock=read_json(path / "clock.json", {}),
    )


def checkpoints(run: Path, stage: str) -> list[Path]:
    """The valid checkpoints of `stage` in the folder of a run, oldest first."""
    found = [path.parent for path in run.joinpath("checkpoints").glob(f"*/{MARKER}")]
    mine = [path for path in found if stage_and_step(path)[0] == stage]
    return sorted(mine, key=lambda path: stage_and_step(path)[1])


def newest_checkpoint(run: Path) -> Path | None:
    """The newest valid checkpoint of the latest stage on the main path in the folder of a run."""
    found = [path.parent for path in run.joinpath("checkpoints").glob(f"*/{MARKER}")]
    visible = [
        path
        for path in found
        if not path.name.startswith(TEMPORARY)
        and stage_and_step(path)[0].split("/")[0] not in ASIDE
    ]
    ranked = sorted(visible, key=lambda path: (rank(path.name), stage_and_step(path)[1]))
    return ranked[-1] if ranked else None


def stage_and_step(path: Path) -> tuple[str, int]:
    """What the name of a checkpoint says; step -1 when it says none."""
    stage, _, step = path.name.rpartition("-")
    return stage.replace(".", "/"), int(step) if step.isdecimal() else -1


def rank(stage: str) -> int:
    """The place of a stage in the order of the paper; unknown ones come last."""
    family = stage.replace(".", "/").split("/")[0].split("-")[0]
    return STAGES.index(family) if family in STAGES else len(STAGES)


def is_later(stage: str, step: int | None, than_stage: str, than_step: int) -> bool:
    """Whether a record of (stage, step) was written after the given point; no step is the end."""
    if stage == than_stage:
        return step is None or step > than_step
    return rank(stage) > rank(than_stage)


def read_json(path: Path, default: Any) -> Any:
    """The content of a JSON file, or `default` when there is none. Raises RunError if damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (ValueError, OSError) as error:
        raise RunError(
            f"{path} is damaged ({error}); move the run folder away, or use another --out."
        ) from None


def read_manifest(path: Path) -> dict[str, Any]:
    """manifest.json of the run at `path`. Raises RunError when it is not there or damaged."""
    file = path / "manifest.json"
    manifest = read_json(file, None)
    if manifest is None:
        raise RunError(f"{path} is not a run: it has no manifest.json. Name the folder of a run.")
    needed = {"recipe_hash", "finished", "lineage", "sessions"}
    if not isinstance(manifest, dict) or not needed <= manifest.keys():
        raise RunError(f"{file} is damaged; move the run folder away, or use another --out.")
    return manifest
