"""The real command, as a user runs it: the smoke recipe, kill -9, resume, mistakes."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.forks import Fork, completed

pytestmark = pytest.mark.xdist_group("smoke run")
"""one process: what it starts is dear"""
ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "recipes" / "smoke.toml"
CLOCK = ("step_time", "time/", "memory/")
"""the metrics that depend on the machine"""
SMALLER = [
    "base.tokens=60_000", "base.checkpoint_every=4", "zero.n_steps=4", "zero.n_problems=4",
    "zero.n_completions=4", "zero.checkpoint_every=1", "zero.max_tokens=40", "eval.n_problems=12",
    "eval.max_tokens=40", "compute.n_processes=1",
]  # fmt: skip
LITTLE_MEMORY = [
    "lora.r=4", "zero.optim.lr=1e-3", "zero.beta=0.01", "zero.ref_model_sync_steps=2",
    "zero.kl_estimator=unbiased", "compute.gradient_checkpointing=true",
    "compute.keep_checkpoints=last_and_best",
]  # fmt: skip
EVALUATED = ["zero.eval_steps=1", "zero.load_best_model_at_end=true"]


def command(out: Path, *more: str, recipe: Path = SMOKE, settings: Sequence[str] = ()) -> list[str]:
    sets = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, "-m", "r1kit", "run", str(recipe), "--out", str(out), *sets, *more]


def run(out: Path, *more: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(out, *more, **how), capture_output=True, text=True, timeout=300, check=False
    )


def forked(out: Path, *more: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """As `run`, without the seconds of an interpreter's start."""
    return completed(command(out, *more, **how))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def without_clocks(record: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if not k.startswith(CLOCK)}


def without_wall(value: Any) -> Any:
    """Without seconds, and the checksum over them."""
    if isinstance(value, dict):
        return {k: without_wall(v) for k, v in value.items() if k not in ("wall_s", "checksum")}
    return value


def evidence(out: Path) -> dict[str, Any]:
    """Everything of a run that must not depend on how often it was killed."""
    results = without_wall(json.loads((out / "results.json").read_text(encoding="utf-8")))
    weights = {
        path.name: (path / "model.safetensors").read_bytes()
        for path in sorted((out / "checkpoints").iterdir())
    }
    return {
        "metrics": [without_clocks(record) for record in lines(out / "metrics.jsonl")],
        "samples": lines(out / "samples.jsonl"),
        "results": results,
        "weights": weights,
        "data": {path.name: path.read_bytes() for path in sorted(out.glob("data/*"))},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke recipe, run to its end with as many processes as this machine has cores."""
    out = tmp_path_factory.mktemp("smoke") / "run"
    done = run(out)
    assert done.returncode == 0, done.stderr
    return out


def test_smoke_run_reaches_its_report(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    assert list(results["stages"]) == ["base", "zero"]
    for stage in results["stages"].values():
        assert {"evals", "wall_s", "checkpoint", "n_parameters"} <= stage.keys()
        assert {
            "pass_at_1", "stderr", "n_problems", "mean_tokens", "mean_reflections",
            "language_consistency", "truncated",
        } <= stage["evals"]["reasoning"].keys()  # fmt: skip
        assert stage["evals"]["reasoning"]["n_problems"] == 40
    steps = [r["step"] for r in lines(finished / "metrics.jsonl") if r["stage"] == "zero"]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert (finished / "report.md").stat().st_size > 1000
    assert "<svg" in (finished / "report.html").read_text(encoding="utf-8") or "data:image" in (
        finished / "report.html"
    ).read_text(encoding="utf-8")


def test_sampler_and_learner_agree_in_a_real_run(finished: Path) -> None:
    for record in lines(finished / "metrics.jsonl"):
        if record["stage"] == "zero":
            assert record["sampling/sampling_logp_difference/max"] < 1e-3
            assert record["clip_ratio/region_mean"] == 0.0


def test_a_finished_run_stays_as_it_is(finished: Path) -> None:
    before = evidence(finished)
    again = forked(finished)
    assert again.returncode == 0
    assert evidence(finished) == before
    assert f"-m r1kit watch {finished}\n" in again.stdout
    chat, serve, other = again.stdout.split("Next:")[1].strip().splitlines()[1:]
    asked = subprocess.run(
        f"echo '1+1=?' | {chat}", shell=True, capture_output=True, text=True, timeout=300
    )
    assert asked.returncode == 0, asked.stderr
    assert "? 1+1=?" in asked.stdout
    assert shlex.split(serve) == [sys.executable, "-m", "r1kit", "serve", str(finished)]
    assert shlex.split(other)[3:] == [
        "run", str(SMOKE), "--out", f"{finished}-seed1", "--set", "seed=1"
    ]  # fmt: skip


def test_checkpoints_are_plain_hugging_face_folders(finished: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    [path] = [p for p in (finished / "checkpoints").iterdir() if p.name == "zero-000006"]
    model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Solve 3x+1=10"}], add_generation_prompt=True,
        return_tensors="pt", return_dict=False,
    )  # fmt: skip
    with torch.no_grad():
        out = model.generate(prompt, max_new_tokens=8, do_sample=False)
    assert out.shape[1] > prompt.shape[1]


@pytest.mark.parametrize("more", [[], LITTLE_MEMORY, EVALUATED], ids=lambda more: "".join(more[:1]))
def test_killed_at_random_moments_it_ends_bit_identical(tmp_path: Path, more: list[str]) -> None:
    settings = [*SMALLER, *more]
    whole = tmp_path / "whole"
    assert run(whole, settings=settings).returncode == 0
    killed, rng = tmp_path / "killed", random.Random(time.time_ns())
    kills = 0
    for _ in range(12):
        with Fork(command(killed, settings=settings)) as process:
            # A kill during start-up teaches nothing: wait for a sign of life first.
            started = time.monotonic()
            mark = (killed / "metrics.jsonl").stat().st_size if killed.exists() else 0
            while process.poll() is None and time.monotonic() - started < 60:
                file = killed / "metrics.jsonl"
                if file.exists() and file.stat().st_size != mark:
                    break
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.8))
            if process.poll() is not None:
                break
            if kills < 4:
                process.kill()
                kills += 1
            if process.wait(timeout=120) == 0 and kills >= 4:
                break
    assert kills >= 2
    assert evidence(killed) == evidence(whole)
    if more == EVALUATED:
        ends_with_its_best(whole)


def ends_with_its_best(out: Path) -> None:
    steps = [row for row in lines(out / "metrics.jsonl") if row["stage"] == "zero"]
    scores = {row["step"]: row["eval/reasoning/pass_at_1"] for row in steps}
    best = max(scores, key=lambda step: scores[step])
    zero = json.loads((out / "results.json").read_text(encoding="utf-8"))["stages"]["zero"]
    assert zero["checkpoint"] == f"zero-{best:06d}"
    assert zero["evals"]["reasoning"]["pass_at_1"] == scores[best]
    assert "Evaluations during training" in (out / "report.md").read_text(encoding="utf-8")


def test_ctrl_c_keeps_what_is_done_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = ["base.tokens=60_000", "eval.n_problems=12", "zero.n_steps=500"]
    process = subprocess.Popen(
        command(out, settings=settings),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    while not (out / "metrics.jsonl").exists() or '"zero"' not in (out / "metrics.jsonl").read_text(
        encoding="utf-8"
    ):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command resumes" in said.lower()
    assert "Traceback" not in said


def test_two_runs_on_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = subprocess.Popen(
        command(out, settings=["zero.n_steps=500"]),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        while not (out / "manifest.json").exists():
            assert first.poll() is None
            time.sleep(0.05)
        second = forked(out, settings=["zero.n_steps=500"])
        assert second.returncode == 4
        assert f"in use by process {first.pid}" in second.stderr.replace("\n", " ")
        assert "Traceback" not in second.stderr
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        (["zero.nsteps=3"], 2, "did you mean 'n_steps'"),
        (["zero.n_steps=three"], 2, "zero.n_steps"),
        (["zero.n_steps=-1"], 2, "zero.n_steps"),
        (["tasks=[{name='equatoin'}]"], 2, "There is no task 'equatoin'"),
        (["model.path='nowhere'"], 3, "nowhere"),
        (["model.hidden=63"], 2, "hidden"),
        (["compute.device='cuda'"], 6, "no cuda device"),
    ],
)
def test_mistakes_are_sentences(
    tmp_path: Path, settings: Sequence[str], code: int, says: str
) -> None:
    done = forked(tmp_path / "run", settings=settings)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == code, said
    assert says in said
    assert "Traceback" not in said


def test_another_recipe_on_the_same_folder_is_refused(finished: Path) -> None:
    done = forked(finished, settings=["zero.n_steps=7"])
    assert done.returncode == 4
    assert "zero.n_steps was 6, now 7" in " ".join(done.stderr.split())


def test_only_a_stage_whose_source_is_missing(tmp_path: Path) -> None:
    done = forked(tmp_path / "run", "--only", "zero")
    assert done.returncode == 2
    assert "starts from base" in " ".join(done.stderr.split())
