"""Checksums of a finished stage's output, and the check that it is unchanged.

The manifest of a run stores checksums of each finished stage: of its lines in the records, and of
its files in data/. The checksums of weights are in the manifests of checkpoints (model/folder.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from r1kit.errors import RunError
from r1kit.files.atomic import MARKER
from r1kit.files.checksums import Checksum, of_file

RecordLines = Sequence[tuple[bytes, dict[str, Any]]]
"""the lines of a record file, raw and parsed"""
_NO_LINES = str(Checksum())


def artifact_checksums(
    run: Path, stage: str, records: Mapping[str, RecordLines]
) -> dict[str, dict[str, str]]:
    """Return the checksums of a stage's output, as stored in the manifest."""
    checksums = {
        name: _by_stage(record_lines).get(stage, _NO_LINES)
        for name, record_lines in records.items()
    }
    return {"records": checksums, "data": _data(run, stage)}


def refuse_other_lines(
    run: Path, finished: Mapping[str, Any], name: str, lines: RecordLines
) -> None:
    """Raise RunError if the lines of a finished stage have changed since it was finished."""
    checksums = _by_stage(lines)
    for stage, facts in finished.items():
        expected = facts.get("records", {}).get(name)
        if expected is not None and checksums.get(stage, _NO_LINES) != expected:
            raise changed_lines_error(run / name, stage, f"stage {stage} was finished")


def refuse_other_data(run: Path, stage: str, facts: Mapping[str, Any]) -> None:
    """Raise RunError if the conversations of a finished stage have changed."""
    expected = facts.get("data", {})
    if expected and _data(run, stage) != expected:
        raise RunError(
            f"The files {', '.join(expected)} in {run / 'data'} have changed since {stage} was "
            f"finished. Restore them from a copy, or {_again(stage)}; to learn from a file of your "
            "own, name it as distill.data."
        )


def changed_lines_error(path: Path, stage: str, when: str) -> RunError:
    """Return the error for a record file with lost or changed lines."""
    return RunError(
        f"{path} has lost lines or contains changed ones since {when}. Restore it from a copy, "
        f"or {_again(stage)}."
    )


def missing_checkpoint_error(path: Path, stage: str) -> RunError:
    """Return the error for a checkpoint that is needed but missing."""
    return RunError(
        f"{path}, from which later stages start, is missing or has no {MARKER}. Restore it from a "
        f"copy, or {_again(stage)}."
    )


def _again(stage: str) -> str:
    return f"repeat that stage and all later ones with --from {stage.split('/')[0]}"


def _by_stage(lines: RecordLines) -> dict[str, str]:
    checksums: dict[str, Checksum] = {}
    for raw, record in lines:
        checksums.setdefault(record["stage"], Checksum()).update(raw)
    return {stage: str(checksum) for stage, checksum in checksums.items()}


def _data(run: Path, stage: str) -> dict[str, str]:
    files = sorted(run.joinpath("data").glob("*.jsonl*"))
    paths = [path for path in files if path.name.split(".")[0] == stage and path.is_file()]
    return {path.name: of_file(path) for path in paths}
