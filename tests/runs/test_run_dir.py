"""The run folder: real files, a real lock, real kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.config import Recipe, parse
from r1kit.errors import RunError
from r1kit.files.atomic import MARKER, replace_file, to_json
from r1kit.files.json_lines import JsonLines, read_lines
from r1kit.runs.opening import write_manifest
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import newest_checkpoint, read, read_clock
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


def test_a_new_run_says_where_it_comes_from(run: RunDir) -> None:
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest["recipe_hash"] == recipe().hash()
    (session,) = manifest["sessions"]
    assert session["pid"] == os.getpid()
    assert session["torch"]
    assert session["transformers"]
    assert session["cpu_count"] >= 1
    resolved = json.loads((run.path / "recipe.json").read_text())
    assert resolved["zero"]["n_problems"] == 32
    assert parse(resolved, "recipe.json") == recipe()


def test_records_read_back_bit_equal_and_nan_is_null(run: RunDir) -> None:
    run.log("zero", 1, {"reward": 0.1 + 0.2, "kl": float("nan"), "loss": float("-inf")})
    assert lines(run) == [
        {"stage": "zero", "step": 1, "reward": 0.30000000000000004, "kl": None, "loss": None}
    ]


def test_resume_appends_and_counts_the_sessions(tmp_path: Path) -> None:
    with RunDir.create_or_resume(tmp_path, recipe()) as run:
        run.log("base", 1, {"loss": 2.0})
    with RunDir.create_or_resume(tmp_path, recipe()) as run:
        run.log("base", 2, {"loss": 1.0})
        assert [line["step"] for line in lines(run)] == [1, 2]
        assert len(run.manifest["sessions"]) == 2


def test_rewind_leaves_what_an_uninterrupted_run_would_have(run: RunDir) -> None:
    for stage, step in [("base", 1), ("base", 2), ("zero", 1), ("zero", 2), ("zero", 3)]:
        run.log(stage, step, {"loss": 1.0})
        run.sample({"stage": stage, "step": step, "kind": "group"})
    run.sample({"stage": "base", "kind": "showcase"})
    run.sample({"stage": "zero", "kind": "showcase"})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "zero", "st')
    run.rewind("zero", 2)
    kept = [("base", 1), ("base", 2), ("zero", 1), ("zero", 2)]
    assert [(r["stage"], r["step"]) for r in lines(run)] == kept
    samples = lines(run, "samples.jsonl")
    assert [(r["stage"], r.get("step")) for r in samples] == [*kept, ("base", None)]
    run.log("zero", 3, {"loss": 5.0})
    assert lines(run)[-1] == {"stage": "zero", "step": 3, "loss": 5.0}


def test_rewind_by_position_forgets_lines_written_after_the_checkpoint_under_its_step(
    run: RunDir,
) -> None:
    run.log("base", 5, {"loss": 1.0})
    position = run.sync()
    run.log("base", 5, {"eval/pass_at_1": 0.5})
    run.rewind("base", 5, position)
    assert lines(run) == [{"stage": "base", "step": 5, "loss": 1.0}]
    with pytest.raises(RunError, match="has lost lines.*--from base"):
        run.rewind("base", 5, {"metrics.jsonl": 10_000, "samples.jsonl": 0})


def test_rewind_takes_back_later_checkpoints_and_finished_stages(run: RunDir) -> None:
    for stage, step in [("base", 10), ("base", 20), ("zero", 10)]:
        make_checkpoint(run, stage, step)
        run.mark_finished(stage, {"checkpoint": f"{stage}-{step}"})
    run.rewind("base", 10)
    assert not run.finished("base")
    assert not run.finished("zero")
    assert run.manifest["lineage"] == []
    assert [path.name for path in run.checkpoints("base")] == ["base-000010"]
    assert run.latest("zero") is None


def test_a_damaged_line_in_the_middle_is_named(run: RunDir) -> None:
    run.log("base", 1, {})
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b"\x00\x00\n")
    run.log("base", 2, {})
    with pytest.raises(RunError, match=r"metrics.jsonl: line 2 is damaged; delete that line"):
        run.rewind("base", 1)


def test_checkpoints_count_only_with_their_marker(run: RunDir) -> None:
    run.checkpoint_path("zero", 30).mkdir()
    for step in (20, 100, 5):
        make_checkpoint(run, "zero", step)
    make_checkpoint(run, "distill/small", 7)
    assert [path.name for path in run.checkpoints("zero")] == [
        "zero-000005",
        "zero-000020",
        "zero-000100",
    ]
    assert run.latest("zero") == run.checkpoint_path("zero", 100)
    run.prune("zero", keep=1)
    assert run.checkpoints("zero") == [run.checkpoint_path("zero", 100)]
    assert run.latest("distill/small") == run.checkpoint_path("distill/small", 7)
    # A student is not the model the run is about.
    assert newest_checkpoint(run.path) == run.checkpoint_path("zero", 100)


def test_stages_finish_with_a_lineage(run: RunDir) -> None:
    run.mark_finished("base", {"checkpoint": "checkpoints/base-000010", "tokens": 5})
    run.mark_finished("zero", {"checkpoint": "z", "weights_from": "checkpoints/base-000010"})
    assert run.finished("base")
    assert not run.finished("reasoning")
    assert read(run.path).manifest["lineage"][1] == {
        "stage": "zero",
        "checkpoint": "z",
        "weights_from": "checkpoints/base-000010",
        "data_from": None,
    }


def test_results_are_replaced_whole(run: RunDir) -> None:
    assert run.results() == {}
    run.write_results({"stages": {"base": MEASURED}})
    assert run.results() == {"stages": {"base": MEASURED}}


def test_results_of_an_earlier_format_are_refused_with_a_sentence(tmp_path: Path) -> None:
    RunDir.create_or_resume(tmp_path, recipe()).close()
    flat: Json = {"stages": {"base": REASONING | {"general": {"accuracy": 0.5, "stderr": 0.1}}}}
    replace_file(tmp_path / "results.json", to_json(flat))
    with pytest.raises(RunError, match=r"results.json was written by an earlier r1kit.*--out"):
        read(tmp_path)
    with pytest.raises(RunError, match="was written by an earlier r1kit"):
        RunDir.create_or_resume(tmp_path, recipe(n_steps=7))
    replace_file(tmp_path / "results.json", to_json({"stages": {"base": {"wall_s": 1.0}}}))
    with pytest.raises(RunError, match=r"damaged .stages.base.evals: Field required.; delete it"):
        read(tmp_path)


def test_metrics_with_earlier_names_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with RunDir.create_or_resume(tmp_path, recipe()) as run:
        run.log("base", 1, {"loss": 2.0, "lr": 0.1})
    manifest = (tmp_path / "manifest.json").read_bytes()
    for open_run in (read, lambda path: RunDir.create_or_resume(path, recipe())):
        with pytest.raises(RunError, match=r"metrics.jsonl was written by an earlier r1kit.*--out"):
            open_run(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == manifest


def test_wall_clock_adds_up_over_restarts(tmp_path: Path) -> None:
    with RunDir.create_or_resume(tmp_path, recipe()) as run:
        run.tick("base")
        time.sleep(0.05)
        first = run.wall_s("base")
    with RunDir.create_or_resume(tmp_path, recipe()) as run:
        time.sleep(0.05)
        assert run.wall_s("base") == first
        run.tick("base")
        time.sleep(0.05)
        assert first + 0.05 <= run.wall_s("base") < first + 5


def test_a_lost_clock_is_known_from_the_results(run: RunDir) -> None:
    run.write_results({"stages": {"base": MEASURED | {"wall_s": 7.5}}})
    (run.path / "clock.json").write_text('{"base": 9')
    assert read_clock(run.path) == {"base": 7.5}


# Refusals


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl"])
def test_records_of_a_finished_stage_are_still_those(tmp_path: Path, name: str) -> None:
    with RunDir.create_or_resume(tmp_path, recipe()) as run:
        for stage in ("base", "zero"):
            run.log(stage, 1, {"loss": 0.25})
            run.sample({"stage": stage, "step": 1, "seed": 5})
            run.mark_finished(stage, {})
    before = (tmp_path / name).read_bytes()
    for after in (b"", before.replace(b"5", b"4"), before[: len(before) // 2]):
        (tmp_path / name).write_bytes(after)
        for opening in (
            lambda: RunDir.create_or_resume(tmp_path, recipe()),
            lambda: read(tmp_path),
        ):
            with pytest.raises(RunError, match=f"{name} has lost lines.* (base|zero) was finished"):
                opening()
    RunDir.create_or_resume(tmp_path, recipe(), again="base").close()


def test_what_a_finished_stage_has_left_is_named_when_it_is_gone(tmp_path: Path) -> None:
    with RunDir.create_or_resume(tmp_path, recipe()) as run:
        (run.path / "data").mkdir()
        taught = run.path / "data" / "rejection.taught.jsonl"
        taught.write_text('{"messages": []}\n')
        for step in (1, 2):
            make_checkpoint(run, "rejection", step)
        run.mark_finished("rejection", {"checkpoint": "rejection-000002"})
        run.refuse_changed_data("rejection")
        assert run.needed("rejection") == run.checkpoint_path("rejection", 2)
        taught.write_text('{"messages": [] }\n')
        with pytest.raises(RunError, match=r"rejection.taught.jsonl .*changed.*--from rejection"):
            run.refuse_changed_data("rejection")
        (run.checkpoint_path("rejection", 2) / MARKER).unlink()
        with pytest.raises(RunError, match=r"rejection-000002.* is missing .*--from rejection"):
            run.needed("rejection")


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
    told = (
        r"zero\.n_steps was 100, now 200\. Use another --out.* or --from zero to repeat that stage"
    )
    with pytest.raises(RunError, match=told):
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


# Kills and full disks


def test_kill_9_at_any_moment_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    code = """
run = RunDir.create_or_resume(path, recipe)
done = [r for r in __import__("r1kit.runs.run_reader", fromlist=["read"]).read(path).metrics]
step = len(done)
print("up", flush=True)
run.rewind("zero", step)
while True:
    step += 1
    run.log("zero", step, {"reward": 1 / step, **dict.fromkeys(map(str, range(20)), 1 / 7)})
    run.sample({"stage": "zero", "step": step, "text": "y" * 3000})
    run.write_results({"step": step, "pad": "z" * 3000})
    if step % 7 == 0:
        run.rewind("zero", step)
"""
    rng, written, measured = random.Random(0), 0, 0
    for n_kills in range(1, 7):
        writer = child(code, tmp_path)
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline() == "up\n", writer.stderr.read()
        while (tmp_path / "metrics.jsonl").stat().st_size <= written:
            assert writer.poll() is None, writer.stderr.read()
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        evidence = read(tmp_path)
        steps = [record["step"] for record in evidence.metrics]
        assert steps == list(range(1, len(steps) + 1))
        assert len(steps) - n_kills <= len(evidence.samples) <= len(steps)
        assert measured <= evidence.results.get("step", 0) <= len(steps)
        written = (tmp_path / "metrics.jsonl").stat().st_size
        measured = evidence.results.get("step", 0)
    assert len(steps) >= 6


def test_a_full_disk_is_a_sentence_and_keeps_whole_lines(tmp_path: Path) -> None:
    code = """
import resource
from r1kit.errors import RunError
run = RunDir.create_or_resume(path, recipe)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    while True:
        run.log("zero", 1, {"pad": "x" * 999})
except RunError as error:
    print(error)
"""
    writer = child(code, tmp_path)
    out, error = writer.communicate(timeout=30)
    assert "The disk is full" in out, error
    assert "metrics.jsonl" in out
    raw = (tmp_path / "metrics.jsonl").read_bytes()
    assert raw.endswith(b"\n")
    assert len(read_lines(tmp_path / "metrics.jsonl")) == 19


def test_a_file_that_cannot_be_replaced_keeps_its_old_content(tmp_path: Path) -> None:
    code = """
import resource
from r1kit.files.atomic import replace_file
replace_file(path, "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
replace_file(path, "x" * 2000)
"""
    writer = child(code, tmp_path / "file")
    _, error = writer.communicate(timeout=30)
    assert "RunError: The disk is full" in error
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


def test_a_half_written_end_is_not_a_record(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    file = JsonLines(path)
    file.append({"text": "한\u2028글"})
    file.close()
    with path.open("ab") as raw:
        raw.write(b'{"text": "cu')
    assert [record for _, record in read_lines(path)] == [{"text": "한\u2028글"}]


def test_replacing_and_json(tmp_path: Path) -> None:
    replace_file(tmp_path / "f", "one")
    replace_file(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_text() == "two"
    assert to_json({"a": (1.5, float("inf")), "b": {"c": float("nan")}}) == (
        '{"a": [1.5, null], "b": {"c": null}}'
    )
