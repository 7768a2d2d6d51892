"""The log of an evaluation's completions: each is appended before it is graded.

The first line holds the settings, every other line one completion or failure. The file only grows
and has one writer at a time; a killed evaluation continues with the completions it lacks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from r1kit.errors import RunError
from r1kit.evals.jobs import JobResult, SampledText, SampleJob
from r1kit.evals.load import short_hash
from r1kit.files.atomic import explaining_full_disk, lock, seal
from r1kit.files.json_lines import JsonLines
from r1kit.files.untrusted import to_json
from r1kit.runs.validated import read_records
from r1kit.types import Problem

REMEDY = "delete that line, and its completion is sampled again"
SYNC_EVERY = 64
"""number of lines between two flushes to disk; a kill of the process loses none of them"""

LogRecord = dict[str, Any]
LogKey = tuple[str, int]
"""problem id and number of the completion"""


class CompletionLog:
    """The completions of one benchmark."""

    KIND = "completions"

    def __init__(self, path: Path, settings: LogRecord) -> None:
        """Open or create it. Raises RunError for a file in use, foreign, or with other settings."""
        self.path = path
        self.completions: dict[LogKey, LogRecord] = {}
        """completions by problem and number"""
        self.failures: dict[LogKey, LogRecord] = {}
        """failures without a later completion"""
        with explaining_full_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = lock(path)
        if descriptor is None:
            raise RunError(
                f"Another process is writing {path}; wait for it, or name another --out."
            )
        self._lock = descriptor
        try:
            is_new = self._read(settings)
            self._lines = JsonLines(path)
            if is_new:
                self._lines.append(seal({"kind": self.KIND, **settings}))
        except BaseException:
            os.close(self._lock)
            raise
        self._n_unsynced = 0

    def add(self, job: SampleJob, result: JobResult) -> LogRecord:
        """Append a result; return its line."""
        record = {
            "id": job.problem.id,
            "sample": job.sample,
            "seed": job.seed,
            "prompt": prompt_hash(job.problem),
            **({} if isinstance(result, SampledText) else {"failure": result.kind}),
            **asdict(result),
        }
        record.pop("kind", None)
        self._lines.append(seal(record))
        self._keep(record)
        self._n_unsynced += 1
        if self._n_unsynced >= SYNC_EVERY:
            self.sync()
        return record

    def sync(self) -> None:
        """Flush all lines to disk."""
        self._lines.sync()
        self._n_unsynced = 0

    def require_same_prompts(self, problems: Iterable[Problem]) -> None:
        """Raise RunError if a completion in the log was sampled with another prompt."""
        logged = {name: record["prompt"] for (name, _), record in self.completions.items()}
        for problem in problems:
            if problem.id in logged and logged[problem.id] != prompt_hash(problem):
                raise RunError(
                    f"{self.path} has completions of other data or prompts ({problem.id} has "
                    "changed); name another --out."
                )

    def close(self) -> None:
        """Flush all lines to disk and release the lock."""
        self.sync()
        self._lines.close()
        os.close(self._lock)

    def _read(self, settings: LogRecord) -> bool:
        """Read the lines, and cut off an incomplete last one; True if there are none yet."""
        lines = read_log(self.path)
        n_whole = sum(len(raw) for raw, _ in lines)
        if self.path.stat().st_size > n_whole:
            if not lines:
                self._refuse_foreign()
            os.truncate(self.path, n_whole)
        if not lines:
            return True
        [(_, header), *rest] = lines
        if header.get("kind") != self.KIND:
            raise RunError(f"{self.path} is no log of completions; name another --out.")
        refuse_other(self.path, header, settings)
        for _, record in rest:
            self._keep(record)
        return False

    def _keep(self, record: LogRecord) -> None:
        key = (record["id"], record["sample"])
        if "failure" in record:
            self.failures[key] = record
        else:
            self.completions[key] = record
            self.failures.pop(key, None)

    def _refuse_foreign(self) -> None:
        begin = b'{"kind": "'
        with self.path.open("rb") as file:
            first = file.read(len(begin))
        if not begin.startswith(first):
            raise RunError(f"{self.path} is no log of completions; name another --out.")


def read_log(path: Path) -> list[tuple[bytes, LogRecord]]:
    """Read all whole lines of a log, raw and parsed. Raises RunError for a damaged line."""
    return read_records(path, dict[str, Any], REMEDY)


def refuse_other(path: Path, header: LogRecord, settings: Mapping[str, Any]) -> None:
    """Raise RunError, which lists the differences, if a log has other settings."""
    wanted = json.loads(to_json(dict(settings)))
    if other := [key for key in wanted if header.get(key) != wanted[key]]:
        differences = ", ".join(f"{key} {_shown(header.get(key), wanted[key])}" for key in other)
        raise RunError(
            f"{path} was sampled with other settings ({differences}); name another --out, or "
            "delete that file to begin again."
        )


def prompt_hash(problem: Problem) -> str:
    """Return a hash of what the model is asked and of the gold answer."""
    return short_hash(*(message.content for message in problem.messages), problem.answer)


def _shown(recorded: Any, wanted: Any) -> str:
    if isinstance(recorded, dict) and isinstance(wanted, dict):
        return ", ".join(
            f"{key} {recorded.get(key)}, now {wanted[key]}"
            for key in wanted
            if recorded.get(key) != wanted[key]
        )
    return f"{recorded}, now {wanted}"
