"""Figures for talks: the numbers of their messages, and what is drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from r1kit.report.talk_texts import TEXTS
from r1kit.report.talks import TalkFigure, change, talk_figures
from r1kit.runs.run_reader import RunContents
from r1kit.runs.stage_specs import STAGES


def run_of(
    accuracy: Callable[[int], float], n_steps: int = 40, seed: int = 0, **more: Any
) -> RunContents:
    """A run of R1-Zero whose metrics are known, step by step."""
    metrics = [
        {
            "stage": "zero",
            "step": step,
            "reward": 1.0,
            "rewards/accuracy/mean": accuracy(step),
            "rewards/format/mean": 1.0,
            "completions/mean_length": 100.0,
            "completions/mean_reflections": 0.2 if step <= 20 else 0.9,
            "frac_reward_zero_std": 0.25,
            "sampling/sampling_logp_difference/mean": 0.0,
        }
        for step in range(1, n_steps + 1)
    ]
    recipe = {"name": "mine", "seed": seed, "languages": ["en"]}
    manifest = {"seed": seed, "sessions": [], "lineage": []}
    contents = RunContents(Path("mine"), manifest, recipe, metrics, [], {}, {})
    return replace(contents, **more)


def evaluated(share: float, **more: float) -> dict[str, Any]:
    errors = {"mean_tokens": 1.0}
    scores = {"pass_at_1": share, "stderr": 0.02, "errors": errors}
    evals = {"reasoning": scores} | {
        name: {"pass_at_1": value, "stderr": 0.05} for name, value in more.items()
    }
    return {"evals": evals}


def by_key(runs: list[RunContents], language: str = "en") -> dict[str, TalkFigure]:
    return {item.key: item for item in talk_figures(runs, language)}


def drawn(item: TalkFigure) -> Axes:
    item.draw(ax := Figure().subplots())
    return ax


def test_a_curve_says_where_it_began_and_where_it_ended() -> None:
    found = by_key([run_of(lambda step: 0.1 if step <= 20 else 0.6)])
    assert found["zero-accuracy"].message == "R1-Zero answers 60\u00a0% right, up from 10\u00a0%"
    [line] = drawn(found["zero-accuracy"]).lines
    values = np.asarray(line.get_ydata(), float)
    assert (values[0], values[-1]) == (pytest.approx(10), pytest.approx(60))
    assert found["zero-length"].message == "Completions of R1-Zero stay about 100 tokens long"
    assert found["zero-groups"].message.startswith("About 75\u00a0% of the groups teach R1-Zero")
    assert found["zero-rewards"].message.endswith("accuracy changes most: 0.10 → 0.60")
    assert "zero-mismatch" not in found  # nothing but zeros


def test_noise_is_no_change() -> None:
    noisy = run_of(lambda step: 0.5 + (0.1 if step % 2 else -0.1), n_steps=30)
    message = by_key([noisy])["zero-accuracy"].message
    assert message == "R1-Zero answers about 40\u00a0% right, from beginning to end"
    steady = change([{step: float(step) for step in range(1, 61)}])
    assert steady is not None
    assert (steady.before, steady.after, steady.n_steps, steady.is_clear) == (2.0, 59.0, 3, True)
    assert change([{1: 1.0, 2: 2.0, 3: 3.0}]) is None
    assert change([]) is None


def test_seeds_are_a_mean_in_a_band() -> None:
    low, high = run_of(lambda step: 0.2, seed=1), run_of(lambda step: 0.6, seed=2)
    ax = drawn(by_key([low, high])["zero-accuracy"])
    [line], [band] = ax.lines, ax.collections
    assert set(np.asarray(line.get_ydata(), float).round(6)) == {40.0}
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == (pytest.approx(20), pytest.approx(60))
    assert (
        "Band: from the lowest to the highest seed." in by_key([low, high])["zero-length"].caption
    )


def test_the_paper_is_dashed_only_where_it_measured_the_same() -> None:
    found = by_key([run_of(lambda step: 0.5)])
    lines = drawn(found["zero-reflection"]).lines
    dashed = [float(np.asarray(line.get_ydata(), float)[0]) for line in lines
              if line.get_linestyle() == "--"]  # fmt: skip
    assert dashed == [pytest.approx(1.0), pytest.approx(1.4)]  # 5 and 7 times 0.2
    assert "Dashed" in found["zero-reflection"].caption
    for key in ("zero-accuracy", "zero-length", "zero-groups"):
        assert all(line.get_linestyle() == "-" for line in drawn(found[key]).lines)
        assert "Dashed" not in found[key].caption


def test_bars_are_the_stages_with_their_errors() -> None:
    stages = {"base": evaluated(0.1, aime24=0.0), "zero": evaluated(0.5, aime24=0.25)}
    found = by_key([run_of(lambda step: 0.5, results={"stages": stages})])
    assert found["stages"].message == (
        "Held-out problems answered right: base 10.0\u00a0±\u00a02.0\u00a0%, "
        "R1-Zero 50.0\u00a0±\u00a02.0\u00a0%"
    )
    ax = drawn(found["stages"])
    heights = [
        patch.get_extents().transformed(ax.transData.inverted()).height for patch in ax.patches
    ]
    assert heights == [pytest.approx(10), pytest.approx(50)]
    assert not [line for line in ax.lines if line.get_linestyle() == "--"]
    ax = drawn(found["stages-aime24"])
    [paper] = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert set(np.asarray(paper.get_ydata(), float)) == {77.9}  # table 3 of the paper
    assert paper.get_label() == "DeepSeek-R1-Zero in the paper"


def test_a_run_that_has_nothing_has_no_figures() -> None:
    assert talk_figures([run_of(lambda step: 0.5, n_steps=3)], "en") == []


@pytest.mark.parametrize("language", ["ko", "zh"])
def test_every_text_is_there_in_every_language_with_the_same_numbers(language: str) -> None:
    def fields(text: str) -> set[str | None]:
        return {field for _, field, *_ in Formatter().parse(text) if field is not None}

    assert TEXTS[language].keys() == TEXTS["en"].keys()
    for key, text in TEXTS["en"].items():
        assert fields(TEXTS[language][key]) == fields(text), key
    named = set(TEXTS[language]) & set(STAGES)
    assert named == {"base", "cold_start", "reasoning", "rejection", "final"}
    found = by_key([run_of(lambda step: 0.1 if step <= 20 else 0.6)], language)
    expected = {
        "ko": "R1-Zero: 정답률이 10%에서 60%로 올랐다",
        "zh": "R1-Zero：正确率从 10% 升至 60%",
    }
    assert found["zero-accuracy"].message == expected[language]
