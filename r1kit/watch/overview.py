"""A watched run as JSON: its stages on the paper's map, progress, plan and diagnosis."""

from __future__ import annotations

import shlex
import socket
import time
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Literal

import psutil

from r1kit.config import parse
from r1kit.diagnose.curves import CURVES_OF
from r1kit.diagnose.settings import settings_of
from r1kit.errors import R1Error
from r1kit.files.untrusted import to_json
from r1kit.report.facts import priced
from r1kit.report.translate import Translator
from r1kit.runs.schemas import ProgressRecord
from r1kit.runs.stage_specs import STAGES, family, is_main, stage_order
from r1kit.stages.plan import plan
from r1kit.watch.metric_columns import MetricColumns
from r1kit.watch.watched_run import WatchedRun

RunStatus = Literal["live", "stopped", "finished", "unknown"]

PACE_STEPS = 20
QUIET_AFTER_S = 90.0
"""a run on another machine counts as live if it has written within this time"""


def summary(run: WatchedRun) -> dict[str, Any]:
    """Return what the list of runs shows."""
    manifest = run.manifest
    return {
        "id": run.name,
        "name": manifest.get("name", run.path.name),
        "path": str(run.path),
        "seed": manifest.get("seed"),
        "seed_group": run.seed_group,
        "status": status(run),
        "started": manifest.get("started"),
    }


def details(run: WatchedRun, language: str = "en") -> dict[str, Any]:
    """Return everything about a run but its curves and texts; findings are in the language."""
    stages = [_stage(run, name) for name in stage_names(run)]
    sessions = run.manifest.get("sessions") or [{}]
    last = sessions[-1]
    return {
        **summary(run),
        "version": run.version,
        "now": _now(run),
        "stages": stages,
        "findings": [
            {**asdict(finding), "curves": _curves(run, finding.stage, finding.kind)}
            for finding in run.findings(language)
        ],
        "remarks": run.remarks,
        "load": _load(run),
        "money": _money(run, language),
        "machine": {
            "command": shlex.join(sessions[0].get("command") or []),
            "sessions": len(run.manifest.get("sessions") or []),
            **{key: last.get(key) for key in ("r1kit", "torch", "platform", "cpu_count", "gpus")},
        },
    }


def _load(run: WatchedRun) -> dict[str, Any] | None:
    """Return the load of a live run; None for a run on another machine."""
    progress = run.progress
    if progress is None or progress["host"] != socket.gethostname() or not is_alive(progress):
        return None
    return run.load_meter.read(progress["pid"])


def _money(run: WatchedRun, language: str) -> str | None:
    """Return the price of the time spent so far; None if the recipe states none."""
    seconds = sum(run.clock.values())
    try:
        bill = priced(run.recipe, run.manifest, seconds, Translator(language))
        return bill.money if seconds else None
    except (TypeError, AttributeError, ValueError):
        return None  # a recipe of another version


def status(run: WatchedRun) -> RunStatus:
    """Return whether the run's process lives, has ended, or has finished the plan."""
    progress = run.progress
    if progress is not None and is_alive(progress):
        return "live"
    finished = run.manifest.get("finished", {})
    names = _planned(to_json(run.recipe)) if run.recipe else ()
    if names and all(name in finished for name in names):
        return "finished"
    return "stopped" if progress is not None or finished else "unknown"


def is_alive(progress: ProgressRecord) -> bool:
    """True if the process that wrote the progress lives; on another machine, if it wrote lately."""
    if progress["is_over"]:
        return False
    if progress["host"] != socket.gethostname():
        return time.time() - progress["at"] < QUIET_AFTER_S
    try:
        return bool(
            abs(psutil.Process(progress["pid"]).create_time() - progress["pid_started"]) < 2
        )
    except psutil.Error:
        return False


def stage_names(run: WatchedRun) -> list[str]:
    """Return the stages of the plan and all others that left something, in the paper's order."""
    seen = [*run.columns, *run.manifest.get("finished", {}), *run.results.get("stages", {})]
    names = dict.fromkeys((*(_planned(to_json(run.recipe)) if run.recipe else ()), *seen))
    return sorted(names, key=stage_order)


@lru_cache(maxsize=64)
def _planned(recipe: str) -> tuple[str, ...]:
    """Return the planned stages of a resolved recipe; () if another version wrote it."""
    import json

    try:
        return tuple(stage.name for stage in plan(parse(json.loads(recipe), "the recipe")))
    except (R1Error, ValueError, KeyError, TypeError):
        return ()


def _stage(run: WatchedRun, name: str) -> dict[str, Any]:
    columns = run.columns.get(name, MetricColumns())
    result = run.results.get("stages", {}).get(name, {})
    reasoning = result.get("evals", {}).get("reasoning", {})
    spec = STAGES.get(family(name))
    is_finished = name in run.manifest.get("finished", {})
    progress = run.progress
    is_now = progress is not None and progress["stage"] == name and not is_finished
    rate = columns.recent("step_time", PACE_STEPS)
    planned = run.forecast.get(name)
    lineage = run.manifest.get("lineage", [])
    entry: dict[str, Any] = next((item for item in lineage if item["stage"] == name), {})
    return {
        "name": name,
        "title": spec.title if spec and spec.title and name == spec.name else name,
        "family": family(name),
        "is_main": is_main(name),
        "is_rl": "reward" in columns.names,
        "state": "finished" if is_finished else "now" if is_now else "begun" if columns else "next",
        "step": columns.steps[-1] if columns else 0,
        "n_steps": _n_steps(run, name, is_finished, columns),
        "metrics": columns.names,
        "n_rows": len(columns),
        "wall_s": run.clock.get(name),
        "weights_from": entry.get("weights_from") or (spec.weights_from if spec else None),
        "data_from": entry.get("data_from") or (spec.data_from if spec else None),
        "pass_at_1": reasoning.get("pass_at_1"),
        "stderr": reasoning.get("stderr"),
        "mean_tokens": reasoning.get("mean_tokens"),
        "mean_reflections": reasoning.get("mean_reflections"),
        "step_s": rate,
        "peak_mb": columns.largest("memory/peak_mb"),
        "resident_mb": columns.recent("memory/resident_mb"),
        "plan": None if planned is None else dict(planned),
    }  # fmt: skip


def _n_steps(run: WatchedRun, name: str, is_finished: bool, columns: MetricColumns) -> int | None:
    """Return the steps of training of a stage; None as long as nobody knows."""
    if run.progress is not None and name in run.progress["stages"]:
        return run.progress["stages"][name]
    if is_finished and columns:
        return columns.steps[-1]
    n_steps = settings_of(run.recipe, name).get("n_steps") if run.recipe else None
    return n_steps if isinstance(n_steps, int) else None


def _now(run: WatchedRun) -> dict[str, Any] | None:
    """Return the point that a run has reached, and the seconds left of its stage."""
    progress = run.progress
    if progress is None:
        return None
    columns = run.columns.get(progress["stage"], MetricColumns())
    is_training = bool(columns) and progress["stages"].get(progress["stage"]) == progress["n_steps"]
    rate = columns.recent("step_time", PACE_STEPS) if is_training else None
    left = None if rate is None else rate * max(0, progress["n_steps"] - progress["step"])
    return {
        **{key: progress[key] for key in ("stage", "what", "step", "n_steps", "at")},
        "seconds_left": left,
        "is_training": is_training,
    }


def _curves(run: WatchedRun, stage: str, kind: str) -> list[str]:
    names = run.columns[stage].names if stage in run.columns else []
    return [name for name in CURVES_OF.get(kind, ()) if name in names][:2]
