"""torchrun on two ranks with sharded weights: one is killed, and one process resumes the run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.forks import completed

pytestmark = pytest.mark.xdist_group("torchrun")
SMOKE = Path(__file__).parents[2] / "recipes" / "smoke.toml"
MINUTE = 60.0


def run_command(out: Path, *more: str) -> list[str]:
    sets = ("base.tokens=60000", "base.checkpoint_every=4", "zero.n_steps=2", *more)
    return ["r1kit", "run", str(SMOKE), "--out", str(out), *(w for s in sets for w in ("--set", s))]


def n_steps(out: Path) -> int:
    file = out / "metrics.jsonl"
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0


def rank_of(process: psutil.Process) -> str | None:
    try:
        rank: str | None = process.environ().get("RANK")
        return rank
    except psutil.Error:
        return None


def test_a_killed_rank_ends_the_job_and_one_process_resumes_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "-m", *run_command(out, "compute.data_parallel_shard_degree=-1")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "said").open("w") as said:
        job = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        deadline = time.monotonic() + 10 * MINUTE
        while n_steps(out) < 6 and job.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        [second] = [
            child for child in psutil.Process(job.pid).children(True) if rank_of(child) == "1"
        ]
        second.kill()
        assert job.wait(MINUTE) == 1
    text = (tmp_path / "said").read_text(encoding="utf-8")
    assert "(SIGKILL)" in text
    assert f"-{signal.SIGKILL.value}" in text
    assert text.count("pretraining") == 1, "only the first rank prints"
    resumed = completed([sys.executable, "-m", *run_command(out, "compute.n_processes=1")])
    assert resumed.returncode == 0, resumed.stderr
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows if row["stage"] == "base"]
    assert steps == list(range(1, len(steps) + 1))
    assert json.loads((out / "results.json").read_text())["stages"].keys() == {"base", "zero"}
