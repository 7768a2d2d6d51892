"""The runs to watch: run folders, and folders that contain some."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from r1kit.errors import RunError
from r1kit.files.text_files import did_you_mean
from r1kit.watch.watched_run import WatchedRun

LOOK_AGAIN_S = 2.0
MAX_RUNS = 200


class RunList:
    """The runs in some folders; a run that begins while they are watched joins."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._runs: dict[Path, WatchedRun] = {}
        self._looked_at = -LOOK_AGAIN_S
        self._lock = threading.Lock()

    def all(self) -> list[WatchedRun]:
        """Return the runs, those that began last first."""
        with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_AGAIN_S:
                self._look()
                self._looked_at = time.monotonic()
            return list(self._runs.values())

    def get(self, name: str) -> WatchedRun | None:
        """Return the run with this name in the list."""
        return next((run for run in self.all() if run.name == name), None)

    def _look(self) -> None:
        folders = sorted(run_folders(self._folders), key=_began, reverse=True)[:MAX_RUNS]
        names = [path.name for path in folders]
        runs: dict[Path, WatchedRun] = {}
        for path in folders:
            is_alone = names.count(path.name) == 1
            name = path.name if is_alone else f"{path.parent.name}.{path.name}"
            while name in {run.name for run in runs.values()}:
                name += "-2"
            known = self._runs.get(path)
            runs[path] = known if known and known.name == name else WatchedRun(path, name)
        self._runs = runs


def run_folders(folders: Iterable[Path]) -> set[Path]:
    """Return the folders that are runs, and the runs directly inside the others."""
    runs: set[Path] = set()
    for folder in folders:
        if (folder / "manifest.json").is_file():
            runs.add(folder.resolve())
        else:
            runs |= {path.parent.resolve() for path in folder.glob("*/manifest.json")}
    return runs


def check_folders(folders: Sequence[Path]) -> None:
    """Raise RunError if a folder is missing, or neither a run nor a folder of runs."""
    for folder in folders:
        if not folder.is_dir():
            near = did_you_mean(folder)
            raise RunError(f"There is no run at {folder}{near} `r1 run tiny` starts one.")
        if not run_folders([folder]):
            raise RunError(
                f"{folder} is neither a run nor a folder with runs: it has no manifest.json. "
                "Name the folder of a run."
            )


def _began(path: Path) -> float:
    try:
        return (path / "recipe.json").stat().st_mtime
    except OSError:
        return 0.0
