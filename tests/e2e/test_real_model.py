"""Every stage of the recipe on a real pretrained model, once: minutes on an idle machine.

R1_REAL_MODEL=~/models/SmolLM2-135M-Instruct python -m pytest tests/e2e/test_real_model.py
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REAL = Path(__file__).parents[1] / "data" / "real"
MODEL = os.environ.get("R1_REAL_MODEL")
LIMIT_S = 7200
STAGES = [
    "base", "zero", "cold_start", "reasoning", "rejection", "preference/helpful",
    "preference/harmless", "final", "distill/student/base", "distill/student", "preference_eval",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(MODEL is None, reason="R1_REAL_MODEL names no folder with a pretrained model")
def test_every_stage_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MODEL is not None
    work = tmp_path / "work"
    shutil.copytree(REAL, work)
    (work / "model").symlink_to(Path(MODEL).expanduser().absolute())
    (work / "benchmarks").mkdir()
    shutil.copy(work / "gsm8k_test.jsonl", work / "benchmarks" / "gsm8k.jsonl")
    monkeypatch.chdir(work)
    command = [sys.executable, "-m", "r1kit", "run", "real.toml", "--out", "run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((work / "run/manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["finished"]) == STAGES
    results = json.loads((work / "run/results.json").read_text(encoding="utf-8"))
    report = (work / "run/report.md").read_text(encoding="utf-8")
    for stage in ("base", "zero", "cold_start", "reasoning", "rejection", "final"):
        assert set(results["stages"][stage]["evals"]) == {"reasoning", "general", "gsm8k"}
        assert stage in report
    assert set(results["preference"]) == {"helpful", "harmless"}
