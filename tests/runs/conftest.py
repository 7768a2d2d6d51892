"""A run folder of a small recipe, and processes that write to one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.config import Recipe, parse
from r1kit.files.atomic import MARKER
from r1kit.runs.run_dir import RunDir
from r1kit.types import Json

REASONING = {"pass_at_1": 0.14, "stderr": 0.02, "by_task": {"equation": 0.14}}
MEASURED = {"evals": {"reasoning": REASONING}}


def recipe(**zero: object) -> Recipe:
    return parse({"name": "t", "tasks": [{"name": "equation"}], "zero": zero}, "t.toml")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    with RunDir.create_or_resume(tmp_path / "run", recipe()) as run:
        yield run


def lines(run: RunDir, name: str = "metrics.jsonl") -> list[Json]:
    return [json.loads(line) for line in (run.path / name).read_text().splitlines()]


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    prelude = (
        "import sys, time, pathlib\n"
        "from r1kit.config import parse\n"
        "from r1kit.runs.run_dir import RunDir\n"
        "recipe = parse({'name': 't', 'tasks': [{'name': 'equation'}]}, 't.toml')\n"
        "path = pathlib.Path(sys.argv[1])\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", prelude + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def make_checkpoint(run: RunDir, stage: str, step: int) -> Path:
    path = run.checkpoint_path(stage, step)
    path.mkdir(parents=True)
    (path / MARKER).write_text("{}")
    return path
