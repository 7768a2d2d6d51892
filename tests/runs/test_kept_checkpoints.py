"""Which checkpoints stay, by hand; and that a long run never holds more than two."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.config import KeepRule
from r1kit.runs.kept_checkpoints import best_checkpoint, best_evaluated, superfluous
from r1kit.runs.run_dir import RunDir
from tests.runs.conftest import make_checkpoint


def rows(name: str, values: Sequence[float | None]) -> list[dict[str, Any]]:
    return [{"step": step, name: value} for step, value in enumerate(values, start=1)]


def paths(*steps: int) -> list[Path]:
    return [Path(f"zero-{step:06d}") for step in steps]


@pytest.mark.parametrize(
    ("rule", "deleted"),
    [("all", []), ("newest", [10, 20]), ("last_and_best", [10, 30])],
)
def test_the_rules(rule: KeepRule, deleted: list[int]) -> None:
    rewards = [0.1] * 10 + [0.9] * 10 + [0.5] * 20
    gone = superfluous(paths(10, 20, 30, 40), rows("reward", rewards), rule)
    assert gone == paths(*deleted)


def test_the_best_evaluation_outweighs_rewards_and_its_checkpoint_is_kept() -> None:
    metrics = rows("reward", [0.1] * 10 + [0.9] * 10 + [0.5] * 20)
    for step, score in ((10, 0.4), (20, 0.2), (30, 0.4)):
        metrics[step - 1]["eval/pass_at_1"] = score
    every = paths(10, 20, 30, 40)
    assert best_evaluated(every, metrics) == every[0], "the earliest of equals"
    assert superfluous(every, metrics, "newest") == paths(20)
    assert superfluous(every, metrics, "last_and_best") == paths(20, 30)
    assert superfluous(every, metrics, "all") == []
    assert best_evaluated(paths(40), metrics) is None


def test_the_last_may_be_the_best_and_the_first_may_be_alone() -> None:
    rising = rows("reward", [0.1] * 10 + [0.2] * 10)
    assert superfluous(paths(10, 20), rising, "last_and_best") == paths(10)
    assert superfluous(paths(10), rising, "last_and_best") == []
    assert superfluous([], [], "last_and_best") == []


def test_the_mean_of_ten_steps_counts_not_a_lucky_one() -> None:
    rewards = [0.0] * 9 + [1.0] + [0.3] * 10
    assert best_checkpoint(paths(10, 20), rows("reward", rewards)) == paths(20)[0]


def test_without_rewards_the_lowest_loss_is_best() -> None:
    losses = [3.0] * 5 + [1.0] * 5 + [2.0] * 5
    assert best_checkpoint(paths(5, 10, 15), rows("loss", losses)) == paths(15)[0]
    assert best_checkpoint(paths(5, 10), rows("loss", losses)) == paths(10)[0]


def test_steps_without_a_number_are_left_out() -> None:
    assert best_checkpoint(paths(1, 2), rows("reward", [0.5, None])) == paths(2)[0]  # a tie
    assert best_checkpoint(paths(1, 2), rows("reward", [None, None])) is None
    assert superfluous(paths(1, 2), rows("reward", [None, None]), "last_and_best") == paths(1)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.integers(1, 9))
def test_the_newest_always_stays_and_two_are_enough(values: list[float], every: int) -> None:
    kept: list[Path] = []
    best = -float("inf")
    for step in range(1, len(values) + 1):
        if step % every and step != len(values):
            continue
        kept += paths(step)
        metrics = rows("reward", [*values[:step]])
        gone = superfluous(kept, metrics, "last_and_best")
        kept = [path for path in kept if path not in gone]
        assert kept[-1] == paths(step)[0]
        assert len(kept) <= 2
        window = values[max(0, step - 10) : step]
        best = max(best, sum(window) / len(window))
        scores = [values[max(0, s - 10) : s] for s in (int(path.name[-6:]) for path in kept)]
        assert max(sum(w) / len(w) for w in scores) == pytest.approx(best)


def test_a_finished_stage_drops_what_only_resuming_needs(run: RunDir) -> None:
    for step in (1, 2):
        make_checkpoint(run, "zero", step)
        resume = run.checkpoint_path("zero", step) / "resume"
        resume.mkdir()
        (resume / "state.json").write_text("{}")
    run.drop_resume_state("zero")
    assert [path.name for path in run.checkpoints("zero")] == ["zero-000001", "zero-000002"]
    assert not list(run.path.glob("checkpoints/*/resume"))
    run.drop_resume_state("zero")
