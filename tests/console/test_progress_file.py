"""progress.json says where a run is, and whether it still is."""

import io
import os
from pathlib import Path

from rich.console import Console

from r1kit.console.plain_lines import PlainLines
from r1kit.console.progress_file import ProgressFileObserver
from r1kit.runs.run_reader import read_progress


def test_the_file_follows_the_run_at_most_once_a_second(tmp_path: Path) -> None:
    now = [0.0]
    inner = PlainLines(Console(file=(output := io.StringIO())))
    with ProgressFileObserver(inner, tmp_path, lambda: now[0]) as view:
        assert read_progress(tmp_path) is None
        view.stage_started("base", 70, "pretraining")
        view.step("base", 1, {"loss": 1.0})
        now[0] = 2.0
        view.step("base", 2, {"loss": 1.0})
        view.step("base", 3, {"loss": 1.0})  # too soon to be written
        progress = read_progress(tmp_path)
        assert progress is not None
        assert (progress["step"], progress["n_steps"], progress["what"]) == (2, 70, "pretraining")
        assert (progress["pid"], progress["is_over"]) == (os.getpid(), False)
        view.stage_started("base", 250, "evaluating")  # counts something else than steps
        now[0] = 4.0
        view.step("base", 9, {})
        progress = read_progress(tmp_path)
        assert progress is not None
        assert (progress["step"], progress["n_steps"], progress["stages"]) == (9, 250, {"base": 70})
        view.stage_finished("base", {})
        view.note("done")
    progress = read_progress(tmp_path)
    assert progress is not None
    assert progress["is_over"]
    assert "base 3/70" in output.getvalue() or "base 2/70" in output.getvalue()


def test_a_run_goes_on_where_the_file_cannot_be_written(tmp_path: Path) -> None:
    with ProgressFileObserver(PlainLines(Console(file=io.StringIO())), tmp_path / "gone") as view:
        view.stage_started("base", 70, "pretraining")
        view.step("base", 1, {"loss": 1.0})
    assert read_progress(tmp_path / "gone") is None


def test_a_damaged_file_is_none(tmp_path: Path) -> None:
    for text in ("", "{", '{"pid": 1}'):
        (tmp_path / "progress.json").write_text(text)
        assert read_progress(tmp_path) is None
