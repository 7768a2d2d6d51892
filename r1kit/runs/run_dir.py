"""The run folder on disk: everything a run did, and everything it needs to resume after a kill.

    manifest.json   recipe hash, versions, machine, seed, commit, finished stages, lineage
    recipe.json     the resolved recipe
    metrics.jsonl   one line per step: {"stage", "step", ...}; docs/runs.md lists the metrics
    samples.jsonl   readable groups and showcase completions
    results.json    the results of each stage
    clock.json      seconds spent in each stage, over all restarts
    checkpoints/    <stage>-<step>, plain Hugging Face folders (`model/checkpoint.py`)
    lock            held while a process writes to the folder; released when the process ends

Every file is replaced atomically or appended to line by line, so a run can be resumed after a kill
at any moment. Only clock.json, manifest.json and the metrics `step_time`, `time/*` and `memory/*`
may depend on the machine: the rest of a resumed run is bit-identical to that of an uninterrupted
run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1kit.config import KeepRule, Recipe
from r1kit.files.atomic import (
    explaining_full_disk,
    remove_folder,
    remove_leftovers,
    replace_file,
    seal,
    to_json,
)
from r1kit.runs.kept_checkpoints import best_evaluated, superfluous
from r1kit.runs.opening import chosen, refuse_foreign, take_lock, write_manifest
from r1kit.runs.recipe_changes import refuse_other_recipe
from r1kit.runs.records import Position, Records
from r1kit.runs.run_reader import (
    checkpoints,
    is_later,
    read_clock,
    read_manifest,
    read_metrics,
    read_results,
    stage_and_step,
)
from r1kit.runs.stage_specs import stage_order
from r1kit.runs.verify_artifacts import (
    artifact_checksums,
    missing_checkpoint_error,
    refuse_other_data,
    refuse_other_lines,
)

_CLOCK_EVERY_S = 2.0


class RunDir:
    """Write access to a run folder, for one process at a time; open it with `create_or_resume`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.manifest = read_manifest(path)
        self._lock = lock
        self._clock = read_clock(path)
        self._ticking: tuple[str, float] | None = None
        self._clock_saved = time.monotonic()
        self._records = Records(path)

    @classmethod
    def create_or_resume(cls, path: Path, recipe: Recipe, again: str | None = None) -> RunDir:
        """Open `path` for writing, as a new run or to resume the same run.

        If the stage `again` is given, it and all later stages are deleted, to be made again. Raises
        RunError if another process is writing there, if the folder is not a run or is damaged, or
        if settings that affect a stage that is kept have changed.
        """
        with explaining_full_disk(path):
            refuse_foreign(path)
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
            lock = take_lock(path)
            try:
                remove_leftovers(path)
                read_results(path)  # both refuse the format of an earlier r1kit
                read_metrics(path / "metrics.jsonl")
                refuse_other_recipe(path, recipe, again)
                write_manifest(path, recipe, again)
                run = cls(path, lock)
                run._forget_what_was_to_be()
                run._refuse_changed()
                return run
            except BaseException:
                os.close(lock)
                raise

    def close(self) -> None:
        """Make everything durable and release the lock."""
        if self._lock < 0:
            return
        self.sync()
        self._records.close()
        os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> RunDir:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Records

    def log(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line to metrics.jsonl; NaN and infinities are written as null."""
        self._records.append("metrics.jsonl", {"stage": stage, "step": step, **metrics})
        self.tick(stage)

    def sample(self, record: Mapping[str, Any]) -> None:
        """Append a readable record to samples.jsonl; it contains its `stage` and `step`."""
        self._records.append("samples.jsonl", dict(record))

    def has_shown(self, stage: str) -> bool:
        """Return True if samples.jsonl contains the showcase completions of `stage`."""
        lines = self._records.lines("samples.jsonl")
        return any(row["stage"] == stage and row.get("kind") == "showcase" for _, row in lines)

    def metrics(self, stage: str) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl of one stage."""
        lines = self._records.lines("metrics.jsonl")
        return [record for _, record in lines if record["stage"] == stage]

    def sync(self) -> Position:
        """Make every record durable; call it before a checkpoint is saved."""
        self._save_clock()
        return self._records.sync()

    def rewind(self, stage: str, step: int, position: Position | None = None) -> None:
        """Delete everything written after the checkpoint of `stage` at `step`.

        Drops the records of `stage` above `step` and of later stages, an incomplete last line, the
        checkpoints of later points and their entries among the finished stages. A sample without a
        step counts as written at the very end of its stage. With `position` (returned by `sync`
        before that checkpoint) the records are truncated exactly there, which also drops lines
        written later under the same step.
        """
        self._records.rewind(stage, step, position)
        for later in self.path.joinpath("checkpoints").glob("*-*"):
            if is_later(*stage_and_step(later), stage, step):
                remove_folder(later)
        self._forget_finished(stage)

    def _forget_what_was_to_be(self) -> None:
        """Delete the stages that `write_manifest` marked for deletion, also after a kill."""
        first = self.manifest.get("forgetting")
        if first is None:
            return

        def is_kept(stage: str) -> bool:
            return stage_order(stage) < stage_order(first)

        for path in self.path.joinpath("checkpoints").glob("*-*"):
            if not is_kept(path.name):
                remove_folder(path)
        for path in self.path.joinpath("data").glob("*.jsonl*"):
            if not is_kept(path.name.split(".")[0]):
                path.unlink()
        self._records.forget(is_kept)
        if results := self.results():
            results["stages"] = chosen(results.get("stages", {}), is_kept)
            aside = {key: value for key, value in results.items() if key != "claims"}
            self.write_results(chosen(aside, lambda key: key == "stages" or is_kept(key)))
        self._clock = chosen(self._clock, is_kept)
        self._save_clock()
        del self.manifest["forgetting"]
        self._save_manifest()

    def _refuse_changed(self) -> None:
        for name, lines in self._records.all_lines().items():
            refuse_other_lines(self.path, self.manifest["finished"], name, lines)

    # Checkpoints

    def checkpoint_path(self, stage: str, step: int) -> Path:
        """Return the path for the checkpoint of `stage` after `step` steps."""
        return self.path / "checkpoints" / f"{stage.replace('/', '.')}-{step:06d}"

    def checkpoints(self, stage: str) -> list[Path]:
        """Return the valid checkpoints of `stage`, oldest first."""
        return checkpoints(self.path, stage)

    def latest(self, stage: str) -> Path | None:
        """Return the newest valid checkpoint of `stage`."""
        paths = self.checkpoints(stage)
        return paths[-1] if paths else None

    def required_checkpoint(self, stage: str) -> Path:
        """Return the final checkpoint of a finished stage, or the newest of an unfinished one.

        Raises RunError if it is missing.
        """
        self.refuse_missing(stage)
        name = self.manifest["finished"].get(stage, {}).get("checkpoint")
        return self.path / "checkpoints" / name if name else self.checkpoints(stage)[-1]

    def refuse_missing(self, stage: str) -> None:
        """Raise RunError if the checkpoint that a stage left is missing or incomplete."""
        name = self.manifest["finished"].get(stage, {}).get("checkpoint")
        if self.missing_remark(stage) or not self.checkpoints(stage):
            raise missing_checkpoint_error(self.path / "checkpoints" / (name or stage), stage)

    def missing_remark(self, stage: str) -> str:
        """Return a remark if the checkpoint of a finished stage is missing, else ""."""
        name = self.manifest["finished"].get(stage, {}).get("checkpoint")
        is_there = name is None or name in [path.name for path in self.checkpoints(stage)]
        return "" if is_there else f", but its checkpoint {name} is gone"

    def refuse_changed_data(self, stage: str) -> None:
        """Raise RunError if the conversations of a finished stage have changed."""
        refuse_other_data(self.path, stage, self.manifest["finished"].get(stage, {}))

    def prune(self, stage: str, rule: KeepRule) -> None:
        """Delete the checkpoints of `stage` that the rule does not keep; the newest is kept."""
        for path in superfluous(self.checkpoints(stage), self.metrics(stage), rule):
            remove_folder(path)

    def keep_best(self, stage: str) -> Path | None:
        """Delete the checkpoints of `stage` after the one with the best evaluation; return it."""
        paths = self.checkpoints(stage)
        best = best_evaluated(paths, self.metrics(stage))
        for path in paths[paths.index(best) + 1 :] if best else []:
            remove_folder(path)
        return best

    def drop_resume_state(self, stage: str) -> None:
        """Delete what only resuming needs from the checkpoints of a finished stage."""
        for path in self.checkpoints(stage):
            if (path / "resume").exists():
                remove_folder(path / "resume")

    # Results, stages, time

    def results(self) -> dict[str, Any]:
        """Return the content of results.json, or `{}` before the first `write_results`."""
        return read_results(self.path)

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Replace results.json."""
        replace_file(self.path / "results.json", to_json(seal(results), indent=2) + "\n")

    def finished(self, stage: str) -> bool:
        """Return True if `mark_finished` was called for `stage`."""
        return stage in self.manifest["finished"]

    def mark_finished(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Record that `stage` is finished. `checkpoint`, `weights_from` and `data_from` of `facts`
        become the stage's entry in the lineage."""
        self.tick(stage)
        self.sync()
        vouched = artifact_checksums(self.path, stage, self._records.all_lines())
        self.manifest["finished"][stage] = {**facts, **vouched}
        lineage = [entry for entry in self.manifest["lineage"] if entry["stage"] != stage]
        parents = {key: facts.get(key) for key in ("checkpoint", "weights_from", "data_from")}
        self.manifest["lineage"] = [*lineage, {"stage": stage, **parents}]
        self._save_manifest()

    def tick(self, stage: str) -> None:
        """Count the time since the last tick as spent in `stage`; the first tick only starts it."""
        now = time.monotonic()
        if self._ticking is not None and self._ticking[0] == stage:
            self._clock[stage] = self._clock.get(stage, 0.0) + now - self._ticking[1]
        self._ticking = (stage, now)
        if now - self._clock_saved > _CLOCK_EVERY_S:
            self._save_clock()

    def wall_s(self, stage: str) -> float:
        """Return the seconds spent in `stage` so far, over all restarts, including lost work."""
        if self._ticking is not None and self._ticking[0] == stage:
            self.tick(stage)
        return self._clock.get(stage, 0.0)

    def _save_clock(self) -> None:
        self._clock_saved = time.monotonic()
        replace_file(self.path / "clock.json", to_json(seal(self._clock)), flush=False)

    def _save_manifest(self) -> None:
        replace_file(self.path / "manifest.json", to_json(seal(self.manifest), indent=2) + "\n")

    def _forget_finished(self, stage: str) -> None:
        before = {
            name: facts
            for name, facts in self.manifest["finished"].items()
            if name != stage and stage_order(name) <= stage_order(stage)
        }
        if before != self.manifest["finished"]:
            self.manifest["finished"] = before
            self.manifest["lineage"] = [
                entry for entry in self.manifest["lineage"] if entry["stage"] in before
            ]
            self._save_manifest()
