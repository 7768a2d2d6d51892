"""What `r1 init` reads from a few completions of the base, by hand."""

import pytest

from r1kit.forecast.base_sample import BaseSample
from r1kit.types import Completion, Message, ParsedCompletion, Problem, Reward, Rollout, Verdict

PROBLEM = Problem("t/0", "t", (Message("user", "1+1?"),), "2", "en")


def rollout(is_right: bool, n_tokens: int, is_cut: bool = False) -> Rollout:
    finish = "length" if is_cut else "stop"
    completion = Completion([1] * n_tokens, [0.0] * n_tokens, "", finish, 0)  # type: ignore[arg-type]
    parsed = ParsedCompletion(None, "", False)
    verdict = Verdict(is_right, None, "")
    return Rollout(PROBLEM, [], completion, parsed, verdict, Reward(0.0, {}))


def test_the_numbers_of_a_sample() -> None:
    mixed = [rollout(True, 30), rollout(False, 70), rollout(False, 256, is_cut=True)]
    sample = BaseSample([mixed, [rollout(True, 44)]], 256)
    assert (sample.n_right, sample.n_mixed, sample.n_cut, sample.n_well_formed) == (2, 1, 1, 0)
    assert sample.numbers() == (
        "2 of 4 completions are right; 100 tokens per completion, 1 of them cut at 256"
    )
    assert sample.fitting_max_tokens() == 192  # twice 70, rounded up to a multiple of 64
    completions = sample.completions()
    assert completions.mean_tokens == 100
    assert completions.pass_rates == (1.5 / 4, 1.5 / 2)


def test_max_tokens_never_exceeds_what_was_sampled() -> None:
    assert BaseSample([[rollout(True, 200)]], 256).fitting_max_tokens() == 256
    assert BaseSample([[rollout(False, 256, is_cut=True)]], 256).fitting_max_tokens() == 256


@pytest.mark.parametrize(
    ("n_right", "says"),
    [(0, "Probably too hard"), (1, "Probably too hard"), (2, "About right"), (25, "About right"),
     (26, "Probably too easy")],
)  # fmt: skip
def test_the_pass_rate_is_explained(n_right: int, says: str) -> None:
    groups = [[rollout(index < n_right, 10)] for index in range(32)]
    assert BaseSample(groups, 256).meaning().startswith(says)
