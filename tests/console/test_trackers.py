"""Trackers read metrics.jsonl; the file stays the truth."""

import importlib.util
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from r1kit.console.plain_lines import PlainLines
from r1kit.console.trackers import TrackingObserver, open_sink, scalars
from r1kit.errors import ConfigError
from r1kit.types import Json


def write(path: Path, *lines: Json) -> None:
    with (path / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_every_line_arrives_once_also_those_of_earlier_sessions(tmp_path: Path) -> None:
    output = io.StringIO()
    sent: list[tuple[int, Json | None]] = []
    write(tmp_path, {"stage": "base", "step": 1, "loss": 2.0})
    with TrackingObserver(
        PlainLines(Console(file=output)), tmp_path, lambda n, line: sent.append((n, line))
    ) as view:
        write(tmp_path, {"stage": "base", "step": 2, "loss": 1.0})
        view.stage_started("base", 2, "pretraining")
        view.step("base", 2, {"loss": 1.0})
        assert [number for number, _ in sent] == [0, 1]
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('{"stage": "base", "st')
        view.step("base", 2, {"loss": 1.0})
        assert len(sent) == 2
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('ep": 3}\n')
        view.note("done")
        view.sample({})
        view.stage_finished("base", {})
    assert sent[2:] == [(2, {"stage": "base", "step": 3}), (3, None)]
    assert "base 2/2 · loss 1.00" in output.getvalue()


def test_a_run_that_wrote_nothing_is_finished_all_the_same(tmp_path: Path) -> None:
    sent: list[Json | None] = []
    with TrackingObserver(
        PlainLines(Console(file=io.StringIO())), tmp_path, lambda n, line: sent.append(line)
    ):
        pass
    assert sent == [None]


def test_scalars_carry_their_stage_and_leave_out_nulls() -> None:
    line = {"stage": "zero", "step": 3, "reward": 1.5, "kl": None}
    assert scalars(line) == {"zero/step": 3, "zero/reward": 1.5}


def test_unknown_and_missing_trackers_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes trackio, tensorboard, wandb; got 'mlflow'"):
        open_sink("mlflow", tmp_path, "tiny")
    missing = [
        name for name in ("trackio", "tensorboard", "wandb") if not importlib.util.find_spec(name)
    ]
    for name in missing:
        with pytest.raises(ConfigError, match=f"pip install {name}"):
            open_sink(name, tmp_path, "tiny")


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard is optional")
def test_tensorboard_reads_back(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        sink = open_sink("tensorboard", tmp_path, "tiny")
        sink(0, {"stage": "zero", "step": 5, "reward": 1.5})
        sink(1, None)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("zero/reward")] == [(5, 1.5)]
