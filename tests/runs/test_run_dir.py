"""What a run folder holds: real files, real kills."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from r1kit.config import parse
from r1kit.errors import RunError
from r1kit.files.atomic import replace_file, to_json
from r1kit.files.json_lines import read_lines
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import newest_checkpoint, read, read_clock
from r1kit.types import Json
from tests.runs.conftest import MEASURED, REASONING, child, lines, make_checkpoint, recipe


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
    remaining = [("base", 1), ("base", 2), ("zero", 1), ("zero", 2)]
    assert [(r["stage"], r["step"]) for r in lines(run)] == remaining
    samples = lines(run, "samples.jsonl")
    assert [(r["stage"], r.get("step")) for r in samples] == [*remaining, ("base", None)]
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
    run.prune("zero", "all")
    assert len(run.checkpoints("zero")) == 3
    run.prune("zero", "newest")
    assert run.checkpoints("zero") == [run.checkpoint_path("zero", step) for step in (20, 100)]
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
