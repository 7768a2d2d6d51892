"""Comparisons of two results, against values worked out by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from r1kit.errors import ConfigError, RunError
from r1kit.evals import compare, run
from r1kit.evals.result import read_result
from tests.evals.measuring import answering, answers, measure
from tests.evals.rows import write
from tests.servers import scripted


def record(rates: dict[str, tuple[int, int]], **protocol: Any) -> dict[str, Any]:
    problems = [{"hash": key, "n": n, "n_right": right} for key, (right, n) in rates.items()]
    return {"problems": problems, "protocol": protocol, "scores": {}}


def test_scores_are_compared_on_the_problems_that_both_have() -> None:
    a = record({"x": (1, 2), "y": (0, 4), "z": (1, 1), "undecided": (0, 0)})
    b = record({"x": (2, 2), "y": (1, 4), "w": (0, 1), "undecided": (1, 1)})
    paired = compare.compare(a, b)
    assert paired is not None
    assert (paired.n_pairs, paired.n_better, paired.n_worse) == (2, 2, 0)
    assert paired.difference == pytest.approx((0.5 + 0.25) / 2)
    assert paired.stderr == pytest.approx(0.125)
    assert compare.compare(a, record({"w": (1, 1)})) is None


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=8))
def test_the_p_value_is_that_of_all_signs(differences: list[float]) -> None:
    total = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    share = sum(value >= total - 1e-9 for value in sums) / len(sums)
    assert compare.sign_flip_p_value(differences) == pytest.approx(share)


def test_many_problems_have_the_p_value_of_the_normal_distribution() -> None:
    assert compare.sign_flip_p_value([1.0] * 60 + [-1.0] * 40) == pytest.approx(0.0455, abs=1e-4)
    assert compare.sign_flip_p_value([1.0, -1.0] * 50) == pytest.approx(1.0)


def test_settings_that_differ_are_listed() -> None:
    a, b = record({}, temperature=0.6, k=4, n_problems=3), record({}, temperature=0.0, k=4, new=1)
    assert compare.other_settings(a, b) == {"temperature": (0.6, 0.0), "new": (None, 1)}


def test_results_are_compared_and_graded_again_from_their_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, console = write(tmp_path / "data"), Console(width=200)
    for name, shift in (("good", 0), ("bad", 1)):
        with scripted(answering(answers(data, "gsm8k,mmlu", shift))) as server:
            measure(server.url, "gsm8k,mmlu", data, tmp_path / name)
    run.diff(tmp_path / "bad", tmp_path / "good", console)
    shown = capsys.readouterr().out
    assert "+100.0 (+100.0 … +100.0)" in shown
    assert "0.250" in shown  # 3 problems: 2 of the 8 signs are as extreme
    assert "no clear difference" in shown
    assert "The protocols are the same." in shown
    before = read_result(tmp_path / "good")
    run.grade(tmp_path / "good", None, None, console)
    after = read_result(tmp_path / "good")
    assert after["benchmarks"] == before["benchmarks"]
    run.grade(tmp_path / "good", "number", None, console)
    other = read_result(tmp_path / "good" / "result.number.json")
    assert other["benchmarks"]["gsm8k"]["scores"]["pass@1"]["value"] == 1.0
    assert other["benchmarks"]["gsm8k"]["protocol"]["grader"].startswith("number@")
    assert other["benchmarks"]["mmlu"]["counts"]["undecided"] == 3  # letters are no numbers
    run.diff(tmp_path / "good", tmp_path / "good" / "result.number.json", console)
    assert "grader" in capsys.readouterr().out


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no result"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_text('{"kind": "run"}')
    with pytest.raises(RunError, match="no result of r1 eval"):
        read_result(tmp_path)
    with pytest.raises(ConfigError, match="share no benchmark"):
        compare.show_difference({"benchmarks": {"a": 1}}, {"benchmarks": {"b": 1}}, Console())
