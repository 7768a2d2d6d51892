"""Provenance of a run: versions, machine, command and commit, gathered without torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import r1kit


def session() -> dict[str, Any]:
    """Describe this process as a session of the run: start time, versions, machine and command."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "pid": os.getpid(),
        "command": ["r1", *sys.argv[1:]],
        "r1kit": r1kit.__version__,
        "torch": package_version("torch"),
        "transformers": package_version("transformers"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "gpus": _gpus(),
        "git_commit": _git_commit(),
    }


def new_manifest(name: str, recipe_hash: str, seed: int, first: dict[str, Any]) -> dict[str, Any]:
    """Create the manifest of a new run; the session `first` is not added to it yet."""
    return {
        "name": name,
        "recipe_hash": recipe_hash,
        "seed": seed,
        "started": first["started"],
        "finished": {},
        "lineage": [],
        "sessions": [],
    }


def package_version(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    """Return the names of the machine's NVIDIA GPUs, as reported by nvidia-smi."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return answer.stdout.split("\n")[:-1] if answer.returncode == 0 else []


def _git_commit() -> str | None:
    """Return the commit r1kit runs from, with `-dirty` if files differ; None if it is installed."""
    source = Path(r1kit.__file__).resolve().parent
    git = shutil.which("git")
    if git is None or not (source.parent / ".git").exists():
        return None
    answer = subprocess.run(
        [git, "-C", str(source), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    )
    return answer.stdout.strip() or None
