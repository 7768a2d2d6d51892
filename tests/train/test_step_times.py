"""The shares of a step, from seconds by hand."""

from collections.abc import Callable, Iterator

import pytest

from r1kit.model.ranks import Ranks
from r1kit.train.step_times import SLOWEST, StepClock
from tests.ranks import on_ranks


def ticking(*seconds: float) -> Callable[[], float]:
    ticks: Iterator[float] = iter(seconds)
    return lambda: next(ticks)


def test_waiting_inside_an_activity_is_not_part_of_it() -> None:
    ranks = Ranks()
    clock = StepClock(ranks, ticking(100.0, 106.0, 109.0, 110.0))
    ranks.waiting.seconds += 1.0
    assert clock.end("sample") == 6.0
    ranks.waiting.seconds += 2.0
    assert clock.end("learn") == 3.0
    assert clock.shares() == {"time/sample_share": 0.5, "time/learn_share": 0.1}


def shares_of_two(ranks: Ranks) -> dict[str, float]:
    """Of ten seconds the first rank samples 2 and waits 4; the second samples 6."""
    clock = StepClock(ranks, ticking(0.0, 6.0, 10.0, 10.0))
    ranks.waiting.seconds += 4.0 if ranks.is_first else 0.0
    clock.end("sample")
    clock.end("learn")
    return clock.shares()


def test_the_slowest_rank_is_the_one_that_the_others_wait_for() -> None:
    assert on_ranks(2, 1, shares_of_two) == {
        "time/sample_share": pytest.approx(0.4),
        "time/learn_share": 0.4,
        "time/wait_share": 0.2,
        "time/rank_0/sample_share": 0.2,
        "time/rank_0/learn_share": 0.4,
        "time/rank_0/wait_share": 0.4,
        "time/rank_1/sample_share": 0.6,
        "time/rank_1/learn_share": 0.4,
        "time/rank_1/wait_share": 0.0,
        SLOWEST: 1.0,
    }


def waited(ranks: Ranks) -> float:
    ranks.gather("a")
    return ranks.waiting.seconds


def test_collective_operations_are_waited_for() -> None:
    assert on_ranks(2, 1, waited) > 0
    assert waited(Ranks()) == 0
