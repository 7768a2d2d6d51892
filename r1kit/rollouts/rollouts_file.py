"""The file of sampled rollouts: settings, then one line per problem, each sampled once.

It is append-only, with one writer at a time; each line ends with its checksum, so a killed run
resumes with the problems that have no line yet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from r1kit.errors import RunError
from r1kit.files.atomic import explaining_full_disk, lock, seal, to_json
from r1kit.files.json_lines import JsonLines
from r1kit.renderers.thinking import parse
from r1kit.runs.schemas import RolloutsLine
from r1kit.runs.validated import read_records
from r1kit.types import Completion, Group, ParsedCompletion, Problem, Reward, Rollout, Verdict

REMEDY = (
    "delete that line, and its problem is sampled again, or the whole file, and all of them are "
    "(also if it is the first line)"
)

RolloutsRecord = dict[str, Any]


def rollouts_path(out: Path) -> Path:
    """Return the path of the rollouts file that belongs to the conversations in `out`."""
    return out.with_name(f"{out.name}.rollouts")


def group_record(index: int, group: Group) -> RolloutsRecord:
    """Return the line of a group: all its rollouts, and the problem's record for readers."""
    return {
        "index": index,
        "problem": group.problem.as_record(),
        "prompt_ids": group.rollouts[0].prompt_ids if group.rollouts else [],
        "rollouts": [
            asdict(rollout.completion)
            | {"verdict": asdict(rollout.verdict), "reward": asdict(rollout.reward)}
            for rollout in group.rollouts
        ],
    }


def group_from(
    record: Mapping[str, Any], problem: Problem, parse: Callable[[str], ParsedCompletion] = parse
) -> Group:
    """Rebuild the exact group that `group_record` wrote, with the given problem."""
    rollouts = []
    for entry in record["rollouts"]:
        completion = {k: v for k, v in entry.items() if k not in ("verdict", "reward")}
        rollouts.append(
            Rollout(
                problem,
                list(record["prompt_ids"]),
                Completion(**completion),
                parse(completion["text"]),
                Verdict(**entry["verdict"]),
                Reward(**entry["reward"]),
            )
        )
    return Group(problem, rollouts)


class RolloutsFile:
    """A rollouts file with one writer at a time: settings first, then one line per problem."""

    KIND = "rollouts"

    def __init__(self, path: Path, settings: RolloutsRecord) -> None:
        """Open or create it. Raises RunError for a file in use, foreign, or with other settings."""
        self.path = path
        self._settings = {"kind": self.KIND, **settings}
        self._lock = self._take_lock()
        try:
            self.indices = self._resume()
            self._lines = JsonLines(path)
            if not path.stat().st_size:
                self._lines.append(seal(self._settings))
        except BaseException:
            os.close(self._lock)
            raise

    def add(self, groups: Sequence[tuple[int, Group]]) -> None:
        """Append the groups that have no line yet, and flush them to disk."""
        for index, group in groups:
            if index not in self.indices:
                self._lines.append(seal(group_record(index, group)))
                self.indices.add(index)
        self._lines.sync()

    def groups(
        self, problems: Mapping[int, Problem], parse: Callable[[str], ParsedCompletion] = parse
    ) -> list[Group]:
        """Read all groups from the file, in the order of `problems`."""
        records = {record["index"]: record for _, record in reversed(self._read()[1:])}
        return [group_from(records[index], problem, parse) for index, problem in problems.items()]

    def close(self) -> None:
        self._lines.close()
        os.close(self._lock)

    def _take_lock(self) -> int:
        """Lock the file; the lock is released when this process exits."""
        with explaining_full_disk(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = lock(self.path)
        if descriptor is None:
            raise RunError(
                f"Another process is writing {self.path}; wait for it, or use another --out."
            )
        return descriptor

    def _read(self) -> list[tuple[bytes, RolloutsRecord]]:
        return read_records(self.path, RolloutsLine, REMEDY)

    def _resume(self) -> set[int]:
        """Return the indices of problems that have a line; truncate a half-written last line."""
        self._refuse_foreign()
        lines = self._read()
        whole = sum(len(raw) for raw, _ in lines)
        if self.path.stat().st_size > whole:
            os.truncate(self.path, whole)
        if not lines:
            return set()
        [(_, recorded), *groups] = lines
        settings = json.loads(to_json(self._settings))
        if other := [key for key in settings if recorded.get(key) != settings[key]]:
            differences = ", ".join(
                _difference(key, recorded.get(key), settings[key]) for key in other
            )
            raise RunError(
                f"{self.path} was sampled with other settings ({differences}); use another "
                "--out, or delete that file to begin again."
            )
        return {record["index"] for _, record in groups}

    def _refuse_foreign(self) -> None:
        begin = f'{{"kind": "{self.KIND}", '.encode()
        with self.path.open("rb") as file:
            first = file.read(len(begin))
        if not begin.startswith(first):
            raise RunError(f"{self.path} was not written by r1kit; use another --out.")


def _difference(key: str, recorded: Any, settings: Any) -> str:
    if key == "problems":
        return "other problems"
    if isinstance(recorded, dict) and isinstance(settings, dict):
        pairs = [(part, recorded.get(part), settings[part]) for part in settings]
        return ", ".join(_difference(*pair) for pair in pairs if pair[1] != pair[2])
    return f"{key} {recorded}, now {settings}"
