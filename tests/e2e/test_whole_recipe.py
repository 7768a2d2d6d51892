"""The whole path of the paper as a real command: killed inside and between stages, made again."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from r1kit.types import Json
from tests.e2e.test_run import ROOT, command, evidence, lines, run
from tests.forks import Fork, completed

pytestmark = pytest.mark.xdist_group("whole recipe")
"""one process: what it starts is dear"""
SETTINGS = [
    "base.tokens=250_000", "base.batch_tokens=2048", "zero.n_steps=2", "zero.n_problems=4",
    "zero.n_completions=4", "zero.max_tokens=40", "eval.n_problems=8", "eval.n_general=6",
    "eval.max_tokens=40", "eval.n_completions=2",
    "reasoning.n_problems=4", "reasoning.n_completions=4",
    "reasoning.max_tokens=40", "reasoning.checkpoint_every=1", "final.n_problems=4",
    "final.n_completions=4", "final.max_tokens=40", "final.checkpoint_every=1",
    "preference.checkpoint_every=1", "preference.n_pairs=16", "preference.batch=8",
    "distill.twin.n_steps=1", "compute.n_processes=1",
    "distill.students=[{name='qwen', tokens=20_000, twin=true, model={family='qwen3', "
    "vocab_size=400, n_layers=2, hidden=48, intermediate=96, n_heads=2, n_kv_heads=2}}]",
]  # fmt: skip
WHOLE = ROOT / "recipes" / "rehearsal.toml"
STAGES = [
    "base", "zero", "cold_start", "reasoning", "rejection", "preference/helpful",
    "preference/harmless", "final", "distill/qwen/base", "distill/qwen", "distill/qwen/zero",
    "ablation/judged", "preference_eval",
]  # fmt: skip


def whole_recipe(
    out: Path, *more: str, settings: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    return completed(command(out, *more, recipe=WHOLE, settings=[*SETTINGS, *settings]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By an interpreter of its own, as a user has it."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = run(out, recipe=WHOLE, settings=SETTINGS)
    assert done.returncode == 0, done.stderr
    return out


def manifest(out: Path) -> Json:
    content: Json = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return content


def test_every_stage_is_made_and_measured(finished: Path) -> None:
    assert list(manifest(finished)["finished"]) == STAGES
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    aside = ("preference", "preference_eval")
    assert list(results["stages"]) == [s for s in STAGES if s.split("/")[0] not in aside]
    assert list(results["preference"]) == ["helpful", "harmless"]
    judged = ["base", "zero", "cold_start", "reasoning", "rejection", "final",
              "ablation/judged"]  # fmt: skip
    assert list(results["preference_eval"]["scores"]) == judged
    twin, student = (results["stages"][name] for name in ("distill/qwen/zero", "distill/qwen"))
    assert twin["n_parameters"] == student["n_parameters"] > 10_000
    assert student["compute"]["sampled_tokens"] == 0
    assert twin["compute"]["sampled_tokens"] > 0
    for claim in ("zero_votes", "final_liked", "cold_start_format", "rejection_keeps"):
        assert claim in [row["id"] for row in results["claims"]]
    for name, stage in results["stages"].items():
        general = stage["evals"].get("general", {"n_problems": 0})
        assert general["n_problems"] == (0 if name.startswith("distill/") else 6)
    assert {path.name for path in finished.glob("*.png")} >= {"recipe.png", "curves.png"}


def test_killed_inside_and_between_stages_it_ends_bit_identical(
    finished: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"

    def is_finished(stage: str) -> Callable[[], bool]:
        return lambda: (killed / "manifest.json").exists() and stage in manifest(killed)["finished"]

    def there(pattern: str) -> Callable[[], bool]:
        return lambda: any(path.stat().st_size for path in killed.glob(pattern))

    moments = [
        there("data/cold_start.jsonl.rollouts"),
        is_finished("cold_start"),
        there("checkpoints/reasoning-000001"),
        there("data/rejection.taught.jsonl"),
        there("checkpoints/preference.harmless-000001"),
        there("checkpoints/final-000001"),
        is_finished("distill/qwen/base"),
        is_finished("ablation/judged"),
    ]
    for moment in moments:
        with Fork(command(killed, recipe=WHOLE, settings=SETTINGS)) as process:
            deadline = time.monotonic() + 120
            while not moment() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            assert process.poll() is None, "it ended before it could be killed"
            process.kill()
            process.wait(timeout=60)
    done = whole_recipe(killed)
    assert done.returncode == 0, done.stderr
    assert evidence(killed) == evidence(finished)


def test_a_stage_is_made_again_with_other_settings_and_all_after_it(
    finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    subprocess.run(["cp", "-r", finished, out], check=True)
    refused = whole_recipe(out, settings=["final.n_steps=3"])
    said = " ".join(refused.stderr.split())
    assert refused.returncode == 4
    assert "final.n_steps was 2, now 3" in said
    assert "--from final" in said
    before = evidence(out)
    done = whole_recipe(out, "--from", "final", settings=["final.n_steps=3"])
    assert done.returncode == 0, done.stderr
    steps = [row["step"] for row in lines(out / "metrics.jsonl") if row["stage"] == "final"]
    assert steps == [1, 2, 3]
    assert list(manifest(out)["finished"]) == STAGES
    after = evidence(out)
    kept = ("rejection-", "reasoning-", "preference.")
    assert {name: w for name, w in after["weights"].items() if name.startswith(kept)} == {
        name: w for name, w in before["weights"].items() if name.startswith(kept)
    }
    wrong = whole_recipe(out, "--from", "finale")
    assert "There is no stage 'finale' for --from; there are base, zero" in " ".join(
        wrong.stderr.split()
    )


def test_students_learn_from_a_file_alone(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "students"
    data = finished / "data" / "rejection.taught.jsonl"
    done = whole_recipe(out, settings=[f"distill.data='{data}'"])
    assert done.returncode == 0, done.stderr
    assert list(manifest(out)["finished"]) == STAGES[8:11]
    taught = next(e for e in manifest(out)["lineage"] if e["stage"] == "distill/qwen")
    assert taught["data_from"] == str(data)
    missing = whole_recipe(tmp_path / "none", settings=["distill.data='nothing.jsonl'"])
    assert "There is no file nothing.jsonl" in " ".join(missing.stderr.split())
    assert missing.returncode == 2
