"""The report of an evaluation, read as a reader would."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1kit.evals import report, view
from r1kit.evals.published import published
from r1kit.evals.suite import BENCHMARKS
from tests.evals.measuring import answering, answers, measure
from tests.evals.rows import write
from tests.servers import scripted


def test_a_report_has_scores_protocols_published_numbers_and_hard_problems(tmp_path: Path) -> None:
    data, out = write(tmp_path / "data"), tmp_path / "out"
    texts = answers(data, "math500,gsm8k")
    texts = {
        prompt: "I give up ``` | *" if "fraction" in prompt else t for prompt, t in texts.items()
    }
    with scripted(answering(texts)) as server:
        measure(server.url, "math500,gsm8k", data, out, samples=2)
    text = (out / "report.md").read_text()
    assert (
        "| math500 | 50.0 ± 50.0 % | 50.0 / 50.0 | pass@2 50.0, cons@2 50.0 | 2 × 2 | 7/7 |" in text
    )
    assert "**math500**: r1-paper · T 0.6, top-p 0.95, k 2, seed 0" in text
    assert "| DeepSeek-R1 | 97.3 | v1 table 4 |" in text
    assert "| Algebra | 0.0 ± 0.0 % | 1 |" in text
    assert "### math500/1: right 0.0 %" in text
    assert "I give up ``` | *" in text
    assert "````text" in text  # the fence is longer than that of the completion
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")


def test_confidential_questions_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    secret = dataclasses.replace(BENCHMARKS["gsm8k"], is_confidential=True)
    monkeypatch.setitem(BENCHMARKS, "gsm8k", secret)
    data, out = write(tmp_path / "data"), tmp_path / "out"
    with scripted(answering(answers(data, "gsm8k", 1))) as server:
        measure(server.url, "gsm8k", data, out)
    text = (out / "report.md").read_text()
    assert "its authors ask not to publish it" in text
    assert "apples" not in text


def test_histograms_are_drawn_to_scale() -> None:
    lines = report.histogram([(32, 1, 3), (64, 2, 0)]).splitlines()
    assert (lines[0].count("█"), lines[0].count("░")) == (10, 30)
    assert (lines[1].count("█"), lines[1].count("░")) == (20, 0)
    assert lines[0].endswith(" 1/4")


def test_long_completions_lose_their_middle() -> None:
    assert report.cut("x" * 100) == "x" * 100
    long = report.cut("a" * 2000 + "b" * 2000)
    assert "[... 1,600 characters ...]" in long
    assert len(long) < 2500


@pytest.mark.parametrize("name", BENCHMARKS)
def test_published_scores_are_those_of_the_set(name: str) -> None:
    scores = published(name)
    assert len({score.model for score in scores}) == len(scores)
    assert all(score.value > 0 and score.source for score in scores)


def test_a_narrow_terminal_shows_whole_cells_of_fewer_columns() -> None:
    row = ["gsm8k", "40.0 ± 7.0 %", "38.0 / 40.0", "pass@16 60.0, cons@16 50.0", "50 × 16",
           "120/300", "3", "0", "0", "0", "0", ""]  # fmt: skip
    names = [view.HEAD[i] for i in view.shown_columns([row], 160)]
    assert names == list(view.HEAD[:7]), "columns without a number are left out"
    names = [view.HEAD[i] for i in view.shown_columns([row], 80)]
    assert names == ["benchmark", "pass@1", "strict / lenient", "truncated"]
    assert view.shown_columns([row], 20) == [0, 1]
