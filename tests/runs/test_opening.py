"""Opening a run folder: the lock, foreign folders, changed recipes, stages made again."""

import json
import os
from pathlib import Path

import pytest

from r1kit.config import parse
from r1kit.errors import RunError
from r1kit.runs.opening import write_manifest
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import read
from tests.runs.conftest import MEASURED, child, lines, make_checkpoint, recipe


def test_a_second_process_is_refused_and_told_who_is_there(run: RunDir) -> None:
    second = child("RunDir.create_or_resume(path, recipe)", run.path)
    _, error = second.communicate(timeout=30)
    assert f"in use by process {os.getpid()}; wait for it" in error


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = "RunDir.create_or_resume(path, recipe); print('in', flush=True); time.sleep(60)"
    holder = child(code, tmp_path / "run")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in\n"
    with pytest.raises(RunError, match=f"process {holder.pid};"):
        RunDir.create_or_resume(tmp_path / "run", recipe())
    holder.kill()
    holder.communicate()
    RunDir.create_or_resume(tmp_path / "run", recipe()).close()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match=r"not empty and not a run .*thesis.tex"):
        RunDir.create_or_resume(tmp_path, recipe())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="is a file"):
        RunDir.create_or_resume(tmp_path / "thesis.tex", recipe())
    with pytest.raises(RunError, match=r"no manifest.json"):
        read(tmp_path)
    with pytest.raises(RunError, match="There is no run"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"recipe_hash": "x"}'])
def test_a_damaged_manifest_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RunError, match=r"manifest.json is damaged.*use another --out"):
        RunDir.create_or_resume(tmp_path, recipe())


def test_another_recipe_is_refused_with_the_keys_that_differ(tmp_path: Path) -> None:
    with RunDir.create_or_resume(tmp_path, recipe(n_steps=100)) as run:
        make_checkpoint(run, "zero", 10)
    actual = (
        r"zero\.n_steps was 100, now 200\. Use another --out.* or --from zero to repeat that stage"
    )
    with pytest.raises(RunError, match=actual):
        RunDir.create_or_resume(tmp_path, recipe(n_steps=200))
    with pytest.raises(RunError, match="--from zero"):
        RunDir.create_or_resume(tmp_path, recipe(n_steps=200), again="reasoning")


def test_a_setting_may_change_until_a_stage_depends_on_it(tmp_path: Path) -> None:
    with RunDir.create_or_resume(tmp_path, recipe(n_steps=100)) as run:
        make_checkpoint(run, "base", 10)
        run.mark_finished("base", {})
    with RunDir.create_or_resume(tmp_path, recipe(n_steps=200)) as run:
        assert run.finished("base")
        assert run.manifest["recipe_hash"] == recipe(n_steps=200).hash()
    assert json.loads((tmp_path / "recipe.json").read_text())["zero"]["n_steps"] == 200
    other = parse(recipe(n_steps=200).model_dump(mode="json") | {"languages": ["ko"]}, "t.toml")
    with pytest.raises(RunError, match=r"languages was .*--from base"):
        RunDir.create_or_resume(tmp_path, other)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_stage_made_again_takes_all_that_follow_with_it(tmp_path: Path, is_killed: bool) -> None:
    with RunDir.create_or_resume(tmp_path, recipe()) as run:
        (run.path / "data").mkdir()
        for stage in ("base", "zero", "cold_start", "preference/helpful", "distill/small"):
            make_checkpoint(run, stage, 10)
            run.log(stage, 10, {"loss": 1.0})
            run.sample({"stage": stage, "text": "x"})
            run.path.joinpath("data", f"{stage.replace('/', '.')}.jsonl").write_text("{}\n")
            run.mark_finished(stage, {"weights_from": None})
        stages = dict.fromkeys(("base", "zero", "cold_start", "distill/small"), MEASURED)
        judge = {"helpful": {"accuracy": 0.8}}
        run.write_results({"stages": stages, "preference": judge, "claims": []})
    if is_killed:  # after the manifest, before anything else
        write_manifest(tmp_path, recipe(n_steps=7), "cold_start")
        run = RunDir.create_or_resume(tmp_path, recipe(n_steps=7))
    else:
        run = RunDir.create_or_resume(tmp_path, recipe(), again="cold_start")
    with run:
        assert sorted(path.name for path in run.path.glob("checkpoints/*")) == [
            "base-000010",
            "zero-000010",
        ]
        assert sorted(path.name for path in run.path.glob("data/*")) == ["base.jsonl", "zero.jsonl"]
        assert [row["stage"] for row in lines(run)] == ["base", "zero"]
        assert [row["stage"] for row in lines(run, "samples.jsonl")] == ["base", "zero"]
        assert run.results() == {"stages": {"base": MEASURED, "zero": MEASURED}}
        assert list(run.manifest["finished"]) == ["base", "zero"]
        assert [entry["stage"] for entry in run.manifest["lineage"]] == ["base", "zero"]
        assert "forgetting" not in run.manifest


def test_compute_and_cost_may_change_between_sessions(tmp_path: Path) -> None:
    RunDir.create_or_resume(tmp_path, recipe()).close()
    data = {**recipe().model_dump(mode="json"), "compute": {"n_processes": 1}}
    RunDir.create_or_resume(tmp_path, parse(data, "t.toml")).close()
    assert json.loads((tmp_path / "recipe.json").read_text())["compute"]["n_processes"] == 1
