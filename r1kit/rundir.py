"""EVIDENCE on disk: one folder holds all a run did, and all it needs to go on after a kill.

    manifest.json   recipe hash, versions, machine, seed, commit, stages finished, lineage
    recipe.json     the resolved recipe
    metrics.jsonl   one line a step: {"stage", "step", ...}; clock readings under time/, memory/
    samples.jsonl   readable groups and showcase answers
    results.json    what each stage reached
    clock.json      seconds spent in each stage, over all restarts
    checkpoints/    <stage>-<step>, plain Hugging Face folders (`model/checkpoint.py`)
    lock            held while a process writes here; dies with it

Everything is replaced atomically or appended line by line, so a kill at any moment leaves a folder
that resumes. Only clock.json, manifest.json and the keys named above may depend on the clock: the
rest of a resumed run equals, bit for bit, the rest of an uninterrupted one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from r1kit.config import Recipe
from r1kit.durable import (
    TEMPORARY,
    JsonLines,
    full_disk_said,
    read_lines,
    remove_folder,
    remove_leftovers,
    replace_file,
    to_json,
)
from r1kit.errors import RunError
from r1kit.evidence import (
    RECORDS,
    checkpoints,
    is_later,
    rank,
    read_json,
    read_manifest,
    stage_and_step,
)
from r1kit.other_recipe import refuse_other_recipe
from r1kit.provenance import session

Position = dict[str, int]
"""bytes of each record file, as `RunDir.sync` returned them"""

_CLOCK_EVERY_S = 2.0


class RunDir:
    """The writer's side of a run folder. One process at a time; make it with `create_or_resume`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.manifest = read_manifest(path)
        self._lock = lock
        self._clock: dict[str, float] = read_json(path / "clock.json", {})
        self._ticking: tuple[str, float] | None = None
        self._clock_saved = time.monotonic()
        self._metrics = JsonLines(path / "metrics.jsonl")
        self._samples = JsonLines(path / "samples.jsonl")

    @classmethod
    def create_or_resume(cls, path: Path, recipe: Recipe, again: str | None = None) -> RunDir:
        """Open `path` for writing: a new run, or the continuation of the same one.

        `again` is a stage: it and all that follow are forgotten, to be made once more. Raises
        RunError when another process writes there, when the folder is not a run or is damaged, and
        when stages that are not forgotten were made with other decisive settings.
        """
        _refuse_foreign(path)
        with full_disk_said(path):
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        lock = _take_lock(path)
        try:
            remove_leftovers(path)
            refuse_other_recipe(path, recipe, again)
            _write_manifest(path, recipe, again)
            run = cls(path, lock)
            run._forget_what_was_to_be()
            return run
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Make all durable and let others in."""
        if self._lock < 0:
            return
        self.sync()
        self._metrics.close()
        self._samples.close()
        os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> RunDir:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Records

    def log(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl; NaN and infinities are written as null."""
        self._metrics.append({"stage": stage, "step": step, **metrics})
        self.tick(stage)

    def sample(self, record: Mapping[str, Any]) -> None:
        """Append one readable record to samples.jsonl; it names its `stage` and `step`."""
        self._samples.append(dict(record))

    def metrics(self, stage: str) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl of one stage."""
        records = (record for _, record in read_lines(self._metrics.path))
        return [record for record in records if record["stage"] == stage]

    def sync(self) -> Position:
        """Make every record durable; do it before a checkpoint is saved."""
        self._save_clock()
        return {file.path.name: file.sync() for file in (self._metrics, self._samples)}

    def rewind(self, stage: str, step: int, position: Position | None = None) -> None:
        """Forget all that came after the checkpoint of `stage` at `step`.

        Drops records of `stage` above `step` and of later stages, any half-written last line,
        their checkpoints and their marks of being finished. A sample without a step counts as
        written at the very end of its stage. With `position` (what `sync` returned before that
        checkpoint) the records are cut exactly there, so that lines written after it under the
        same step are forgotten too.
        """
        for name in RECORDS:
            self._rewind_file(name, stage, step, None if position is None else position[name])
        for later in self.path.joinpath("checkpoints").glob("*-*"):
            if is_later(*stage_and_step(later), stage, step):
                remove_folder(later)
        self._forget_finished(stage)

    def _rewind_file(self, name: str, stage: str, step: int, size: int | None) -> None:
        path = self.path / name
        if size is None:
            kept = b"".join(
                raw
                for raw, record in read_lines(path)
                if not is_later(record.get("stage", ""), record.get("step"), stage, step)
            )
        else:
            kept = path.read_bytes()[:size]
            if len(kept) < size:
                raise RunError(
                    f"{path} is shorter than its checkpoint says; it was cut by hand. Move the "
                    "run folder away and start again."
                )
        file = self._metrics if name == "metrics.jsonl" else self._samples
        file.replace(kept)

    def _forget_what_was_to_be(self) -> None:
        """Finishes what `_write_manifest` has noted, also after a kill."""
        first = self.manifest.get("forgetting")
        if first is None:
            return

        def is_kept(stage: str) -> bool:
            return rank(stage) < rank(first)

        for path in self.path.joinpath("checkpoints").glob("*-*"):
            if not is_kept(path.name):
                remove_folder(path)
        for path in self.path.joinpath("data").glob("*.jsonl*"):
            if not is_kept(path.name.split(".")[0]):
                path.unlink()
        for file in (self._metrics, self._samples):
            records = list(read_lines(file.path))
            file.replace(b"".join(raw for raw, record in records if is_kept(record["stage"])))
        if results := self.results():
            results["stages"] = _chosen(results.get("stages", {}), is_kept)
            aside = {key: value for key, value in results.items() if key != "claims"}
            self.write_results(_chosen(aside, lambda key: key == "stages" or is_kept(key)))
        self._clock = _chosen(self._clock, is_kept)
        self._save_clock()
        del self.manifest["forgetting"]
        self._save_manifest()

    # Checkpoints

    def checkpoint_path(self, stage: str, step: int) -> Path:
        """Where the checkpoint of `stage` after `step` steps belongs."""
        return self.path / "checkpoints" / f"{stage.replace('/', '.')}-{step:06d}"

    def checkpoints(self, stage: str) -> list[Path]:
        """The valid checkpoints of `stage`, oldest first."""
        return checkpoints(self.path, stage)

    def latest(self, stage: str) -> Path | None:
        """The newest valid checkpoint of `stage`."""
        found = self.checkpoints(stage)
        return found[-1] if found else None

    def prune(self, stage: str, keep: int) -> None:
        """Delete all but the newest `keep` (at least one) checkpoints of `stage`."""
        for path in self.checkpoints(stage)[: -max(keep, 1)]:
            remove_folder(path)

    # Results, stages, time

    def results(self) -> dict[str, Any]:
        """results.json, or `{}` before the first `write_results`."""
        found: dict[str, Any] = read_json(self.path / "results.json", {})
        return found

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Replace results.json."""
        replace_file(self.path / "results.json", to_json(dict(results), indent=2) + "\n")

    def finished(self, stage: str) -> bool:
        """Whether `mark_finished` was called for `stage`."""
        return stage in self.manifest["finished"]

    def mark_finished(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Record that `stage` is done. `facts` may name `checkpoint`, `weights_from`, `data_from`:
        they become the stage's line in the lineage."""
        self.tick(stage)
        self.sync()
        self.manifest["finished"][stage] = dict(facts)
        lineage = [entry for entry in self.manifest["lineage"] if entry["stage"] != stage]
        born = {key: facts.get(key) for key in ("checkpoint", "weights_from", "data_from")}
        self.manifest["lineage"] = [*lineage, {"stage": stage, **born}]
        self._save_manifest()

    def tick(self, stage: str) -> None:
        """Count the time since the last tick as spent in `stage`; the first tick starts it."""
        now = time.monotonic()
        if self._ticking is not None and self._ticking[0] == stage:
            self._clock[stage] = self._clock.get(stage, 0.0) + now - self._ticking[1]
        self._ticking = (stage, now)
        if now - self._clock_saved > _CLOCK_EVERY_S:
            self._save_clock()

    def wall_s(self, stage: str) -> float:
        """Seconds spent in `stage` so far, over all restarts, lost work included."""
        if self._ticking is not None and self._ticking[0] == stage:
            self.tick(stage)
        return self._clock.get(stage, 0.0)

    def _save_clock(self) -> None:
        self._clock_saved = time.monotonic()
        replace_file(self.path / "clock.json", to_json(self._clock), flush=False)

    def _save_manifest(self) -> None:
        replace_file(self.path / "manifest.json", to_json(self.manifest, indent=2) + "\n")

    def _forget_finished(self, stage: str) -> None:
        before = {
            name: facts
            for name, facts in self.manifest["finished"].items()
            if name != stage and rank(name) <= rank(stage)
        }
        if before != self.manifest["finished"]:
            self.manifest["finished"] = before
            self.manifest["lineage"] = [
                entry for entry in self.manifest["lineage"] if entry["stage"] in before
            ]
            self._save_manifest()


def _refuse_foreign(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; name a folder with --out.")
    if not path.exists() or (path / "manifest.json").exists():
        return
    # What a process killed while creating the run may have left.
    ours = {"lock", "recipe.json", "checkpoints"}
    foreign = [
        entry.name
        for entry in path.iterdir()
        if entry.name not in ours and not entry.name.startswith(TEMPORARY)
    ]
    if foreign or any(path.glob("checkpoints/*")):
        example = foreign[0] if foreign else "checkpoints"
        raise RunError(
            f"{path} is not empty and not a run (it holds {example!r}, no manifest.json); "
            "use another --out."
        )


def _take_lock(path: Path) -> int:
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise RunError(
            f"{path} is in use by process {holder}; wait for it, stop it with `kill {holder}`, "
            "or use another --out."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _chosen(items: Mapping[str, Any], wanted: Callable[[str], bool]) -> dict[str, Any]:
    return {key: value for key, value in items.items() if wanted(key)}


def _write_manifest(path: Path, recipe: Recipe, again: str | None) -> None:
    """Of a new run last: with it the folder is a run. Of an old one first: it notes what is to be
    forgotten, so that a kill before that is done cannot leave half of it."""
    file, recipe_file = path / "manifest.json", path / "recipe.json"
    this = session()
    is_new = not file.exists()
    manifest = _new_manifest(recipe, this) if is_new else read_manifest(path)
    manifest["sessions"].append(this)
    # On resume the settings that may differ are the new ones.
    manifest["recipe_hash"] = recipe.hash()
    if again is not None:
        first = min((again, manifest.get("forgetting", again)), key=rank)
        manifest["forgetting"] = first
        manifest["finished"] = _chosen(manifest["finished"], lambda name: rank(name) < rank(first))
        lineage = [entry for entry in manifest["lineage"] if entry["stage"] in manifest["finished"]]
        manifest["lineage"] = lineage
    texts = {
        file: to_json(manifest, indent=2) + "\n",
        recipe_file: to_json(recipe.model_dump(mode="json"), indent=2) + "\n",
    }
    for target in (recipe_file, file) if is_new else (file, recipe_file):
        replace_file(target, texts[target])


def _new_manifest(recipe: Recipe, first: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "recipe_hash": recipe.hash(),
        "seed": recipe.seed,
        "started": first["started"],
        "finished": {},
        "lineage": [],
        "sessions": [],
    }
