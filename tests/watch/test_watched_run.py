"""A run folder as the page sees it, in every state that a folder can be in."""

import json
import os
import socket
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from r1kit.errors import RunError
from r1kit.files.atomic import seal, to_json
from r1kit.report.facts import costs
from r1kit.runs.run_reader import read
from r1kit.runs.schemas import ProgressRecord
from r1kit.watch import watched_run
from r1kit.watch.machine_load import LoadMeter
from r1kit.watch.overview import details, is_alive, status, summary
from r1kit.watch.run_list import RunList, check_folders
from r1kit.watch.watched_run import WatchedRun
from tests.watch.runs import write_watched_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_run, "REREAD_AFTER_S", 0.0)
    monkeypatch.setattr(watched_run, "DIAGNOSED_EVERY_S", 0.0)


def seen(path: Path) -> dict[str, Any]:
    run = WatchedRun(path, path.name)
    run.refresh()
    content = details(run)
    json.dumps(content, allow_nan=False)
    return content


def progress(**changed: Any) -> ProgressRecord:
    process = psutil.Process()
    record = {
        "host": socket.gethostname(), "pid": os.getpid(), "pid_started": process.create_time(),
        "is_over": False, "stage": "zero", "what": "dapo", "step": 30, "n_steps": 40,
        "at": 0.0, "stages": {"base": 12, "zero": 40},
    }  # fmt: skip
    return cast("ProgressRecord", record | changed)


def test_the_stages_have_their_progress_and_their_parents(tmp_path: Path) -> None:
    path = write_watched_run(tmp_path / "tiny", n_steps=30)
    base, zero = seen(path)["stages"]
    assert (base["state"], base["step"], base["n_steps"]) == ("finished", 10, 10)
    assert (zero["title"], zero["state"], zero["step"], zero["n_steps"]) == (
        "R1-Zero",
        "begun",
        30,
        40,
    )
    assert (zero["weights_from"], zero["step_s"], zero["peak_mb"]) == ("base", 2.0, 500.0)
    (path / "progress.json").write_text(to_json(progress()))
    content = seen(path)
    assert content["status"] == "live"
    assert content["stages"][1]["state"] == "now"
    assert content["stages"][0]["n_steps"] == 12
    assert content["now"]["seconds_left"] == pytest.approx(20.0)
    counting = progress(what="evaluating", step=3, n_steps=250)
    (path / "progress.json").write_text(to_json(counting))
    assert seen(path)["now"] | {"at": 0} == {
        "stage": "zero", "what": "evaluating", "step": 3, "n_steps": 250, "at": 0,
        "seconds_left": None, "is_training": False,
    }  # fmt: skip


def test_a_run_is_live_while_its_process_is() -> None:
    assert is_alive(progress())
    assert not is_alive(progress(is_over=True))
    assert not is_alive(progress(pid_started=5.0))  # the number belongs to another process now
    assert not is_alive(progress(pid=2**22 + 7))
    assert not is_alive(progress(host="elsewhere"))
    assert is_alive(progress(host="elsewhere", at=4e9))


def test_the_load_of_a_run_is_that_of_its_process_and_its_children() -> None:
    meter = LoadMeter()
    assert meter.read(os.getpid()) is None  # nothing to compare with yet
    meter._at -= 60  # as if a minute ago
    load = meter.read(os.getpid())
    assert load is not None
    assert 0 <= load["cores"] < load["n_cores"]
    assert 0 <= load["busy"] <= 1
    assert meter.read(os.getpid()) is load
    assert meter.read(2**22 + 7) is None


def test_money_is_what_the_report_says(tmp_path: Path) -> None:
    path = write_watched_run(tmp_path / "tiny")
    (path / "clock.json").write_text('{"base": 1800.0, "zero": 1800.0}')
    assert seen(path)["money"] == dict(costs(read(path)))["money"]
    assert seen(path)["money"].endswith("USD at 0.04 a core-hour")


def test_findings_come_with_the_curves_that_show_them(tmp_path: Path) -> None:
    findings = seen(write_watched_run(tmp_path / "tiny"))["findings"]
    few = next(finding for finding in findings if finding["title"] == "Few groups teach")
    assert few["level"] == "warning"
    assert few["curves"] == ["frac_reward_zero_std", "rewards/accuracy/mean"]


def test_it_follows_a_run_as_it_grows_and_as_it_is_cut_back(tmp_path: Path) -> None:
    path = write_watched_run(tmp_path / "tiny", n_steps=20)
    run = WatchedRun(path, "tiny")
    first = run.refresh()
    assert run.refresh() == first
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "zero", "step": 21, "reward": 0.5, "step_time": 1}\n{"stage": "ze')
    assert run.refresh() == first + 1
    assert (len(run.columns["zero"]), run.remarks) == (21, [])
    lines = (path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (path / "metrics.jsonl").write_bytes(b"".join(lines[:15]))
    assert run.refresh() > first + 1
    assert len(run.columns["zero"]) == 5


def test_a_damaged_file_costs_its_part_of_the_page(tmp_path: Path) -> None:
    path = write_watched_run(tmp_path / "tiny")
    for name in (
        "manifest.json",
        "recipe.json",
        "results.json",
        "forecast.json",
        "clock.json",
        "progress.json",
    ):
        (path / name).write_bytes(b'{"half')
    with (path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"stage": "zero", "step": \xff}\n{"stage": 5, "step": 1}\n')
        file.write(f'{{"stage": "zero", "step": 41, "loss": {10**400}, "kl": NaN}}\n'.encode())
        file.write(f'{{"stage": "zero", "step": {10**400}}}\n'.encode())
    content = seen(path)
    assert [stage["name"] for stage in content["stages"]] == ["base", "zero"]
    assert content["status"] == "unknown"
    told = " ".join(content["remarks"])
    assert "manifest.json is damaged" in told
    assert "metrics.jsonl: 3 lines cannot be read" in told


def test_a_run_of_an_earlier_version_is_shown_and_said_to_be_one(tmp_path: Path) -> None:
    path = write_watched_run(tmp_path / "old")
    recipe = json.loads((path / "recipe.json").read_text())
    recipe["zero"] |= {"group_size": 4}  # a key that this version does not know
    (path / "recipe.json").write_text(to_json(recipe))
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["recipe_file"], manifest["checksum"]
    (path / "manifest.json").write_text(to_json(manifest))
    (path / "metrics.jsonl").write_text(
        '{"stage": "zero", "step": 1, "lr": 0.1, "mean_reward": 0.2}\n'
    )
    (path / "results.json").write_text(to_json(seal({"stages": {"zero": {"pass_at_1": 0.5}}})))
    content = seen(path)
    assert [stage["name"] for stage in content["stages"]] == ["base", "zero"]
    assert content["stages"][1]["metrics"] == ["lr", "mean_reward"]
    assert "earlier r1kit" in " ".join(content["remarks"])


def test_seeds_of_a_recipe_belong_together(tmp_path: Path) -> None:
    runs = [
        WatchedRun(write_watched_run(tmp_path / f"s{seed}", seed=seed, n_steps=2), f"s{seed}")
        for seed in (0, 1)
    ]
    for run in runs:
        run.refresh()
    assert runs[0].seed_group == runs[1].seed_group != ""
    assert [summary(run)["seed"] for run in runs] == [0, 1]
    assert status(runs[0]) == "stopped"


def test_a_list_finds_runs_and_folders_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("r1kit.watch.run_list.LOOK_AGAIN_S", 0.0)
    write_watched_run(tmp_path / "a" / "tiny", n_steps=1)
    write_watched_run(tmp_path / "b" / "tiny", n_steps=1)
    runs = RunList([tmp_path / "a", tmp_path / "b" / "tiny", tmp_path / "c"])
    assert {run.name for run in runs.all()} == {"a.tiny", "b.tiny"}
    kept = runs.get("b.tiny")
    write_watched_run(tmp_path / "c" / "late", n_steps=1)
    assert {run.name for run in runs.all()} == {"a.tiny", "b.tiny", "late"}
    assert runs.get("b.tiny") is kept
    assert runs.get("nobody") is None


def test_what_is_no_run_is_refused_by_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    with pytest.raises(RunError, match="neither a run nor a folder with runs"):
        check_folders([tmp_path / "tiny"])
    with pytest.raises(RunError, match=r"There is no run at .*; did you mean .*tiny"):
        check_folders([tmp_path / "tinny"])
