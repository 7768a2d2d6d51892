"""What a finished stage left is checked when its run is opened."""

from pathlib import Path

import pytest

from r1kit.errors import RunError
from r1kit.files.atomic import MARKER
from r1kit.runs.run_dir import RunDir
from r1kit.runs.run_reader import read
from tests.runs.conftest import make_checkpoint, recipe


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
        assert run.required_checkpoint("rejection") == run.checkpoint_path("rejection", 2)
        taught.write_text('{"messages": [] }\n')
        with pytest.raises(RunError, match=r"rejection.taught.jsonl .*changed.*--from rejection"):
            run.refuse_changed_data("rejection")
        (run.checkpoint_path("rejection", 2) / MARKER).unlink()
        with pytest.raises(RunError, match=r"rejection-000002.* is missing .*--from rejection"):
            run.required_checkpoint("rejection")
