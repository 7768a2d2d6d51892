"""The sampling law: frequencies, truncation, log-probabilities, randomness."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from r1kit.engines.local import sampling
from r1kit.engines.local.counter_rng import _elsewhere, keys, uniform
from r1kit.engines.local.sampling import (
    BatchSamplingParams,
    _truncate,
    _truncate_sorted,
    sample,
    top_logprobs,
)

N = 20_000


@pytest.fixture(params=["_in_torch", "_looped"], autouse=True, scope="module")
def _implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run every test with both implementations, as far as each supports it."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "_in_torch":
            patch.setattr(sampling, "_looped", sampling._in_torch)
        yield


def _law(
    n: int, temperature: float = 1.0, top_k: int = 2**62, top_p: float = 2.0
) -> BatchSamplingParams:
    cuts = top_k < 2**62 or top_p < 2
    return BatchSamplingParams(
        torch.full((n,), temperature),
        None,
        torch.arange(n) if cuts else None,
        torch.full((n,), top_k),
        torch.full((n,), top_p),
    )


def _drawn(logits: Tensor, law: BatchSamplingParams) -> tuple[Tensor, Tensor]:
    n = len(law.temperature)
    u = uniform(keys(3, torch.arange(n)), torch.zeros(n, dtype=torch.int64))
    return sample(logits.expand(n, -1).clone(), law, u)


def test_the_likeliest_are_told_under_the_law_of_their_row() -> None:
    logits = torch.tensor([1.0, 3.0, 2.0, -1.0]).log().expand(4, -1).clone()
    logits[:, 3] = -torch.inf
    law = BatchSamplingParams(
        torch.tensor([1.0, 0.5, 1.0, 1.0]), None, torch.tensor([2]),
        torch.tensor([2**62, 2**62, 2, 2**62]), torch.full((4,), 2.0),
    )  # fmt: skip
    sampled = torch.tensor([2, 0, 1, 0]), torch.tensor([-0.25, -9.0, -9.0, -9.0])
    first, second, third = top_logprobs(logits, law, {0: 4, 1: 1, 2: 3}, sampled)
    assert [token for token, _ in first] == [1, 2, 0]  # the fourth cannot be drawn
    assert [p for _, p in first] == pytest.approx([math.log(1 / 2), -0.25, math.log(1 / 6)])
    assert first[1] == (2, -0.25)  # as it was said of the drawn one
    likely: list[Any] = [(1, pytest.approx(math.log(9 / 14)))]
    assert second == likely
    assert third == [(1, -9.0), (2, pytest.approx(math.log(2 / 5)))]


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_frequencies_follow_the_distribution(temperature: float) -> None:
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0, 0.5, -2.0, 1.5]])
    tokens, logprobs = _drawn(logits, _law(N, temperature))
    expected = (logits[0] / temperature).softmax(-1)
    counts = torch.bincount(tokens, minlength=7)
    chi_square = ((counts - N * expected) ** 2 / (N * expected)).sum()
    assert chi_square < 22.5  # 99.9 % point of chi-square with 6 degrees of freedom
    torch.testing.assert_close(logprobs, expected.log()[tokens])


def test_top_k_keeps_the_k_likeliest_and_scores_what_is_left() -> None:
    logits = torch.tensor([[0.4, 0.1, 0.3, 0.2]]).log()
    tokens, logprobs = _drawn(logits, _law(1000, top_k=2))
    assert set(tokens.tolist()) == {0, 2}
    assert logprobs[tokens == 0][0].item() == pytest.approx(math.log(4 / 7), abs=1e-6)
    assert logprobs[tokens == 2][0].item() == pytest.approx(math.log(3 / 7), abs=1e-6)


@pytest.mark.parametrize(
    ("top_p", "remaining"), [(0.3, {0}), (0.45, {0, 2}), (0.75, {0, 2, 3}), (0.95, {0, 1, 2, 3})]
)
def test_top_p_keeps_the_fewest_that_reach_p(top_p: float, remaining: set[int]) -> None:
    probs = [0.4, 0.1, 0.3, 0.2]
    tokens, logprobs = _drawn(torch.tensor([probs]).log(), _law(1000, top_p=top_p))
    assert set(tokens.tolist()) == remaining
    total = sum(probs[token] for token in remaining)
    first = logprobs[tokens == 0][0].item()
    assert first == pytest.approx(math.log(probs[0] / total), abs=1e-6)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.2, 1.0, 5.0]),  # how far apart the scores are
            st.one_of(st.integers(1, 90), st.just(2**62)),
            st.one_of(st.integers(0, 999).map(lambda p: (p + 0.37) / 1000), st.just(2.0)),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([5, 8, 9, 64, 100, 300]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_what_the_likeliest_tell_is_what_sorting_tells(
    laws: list[tuple[float, int, float]], vocab: int, has_ties: bool, seed: int
) -> None:
    spread, top_k, top_p = zip(*laws, strict=True)
    noise = torch.randn(len(laws), vocab, generator=torch.Generator().manual_seed(seed))
    scores = noise * torch.tensor(spread)[:, None]
    if has_ties:
        scores = scores.round()
    k, p = torch.tensor(top_k), torch.tensor(top_p)
    assert torch.equal(_truncate(scores.clone(), k, p), _truncate_sorted(scores, k, p))


def test_scores_that_are_no_numbers_stay_so() -> None:
    scores = torch.zeros(3, 100)
    scores[0, 4] = torch.nan
    scores[1] = torch.inf
    scores[2, 7] = 9.0
    cut = _truncate(scores, torch.full((3,), 100), torch.full((3,), 0.5))
    assert cut[0].isnan().any()
    assert cut[1].softmax(-1).isnan().any()
    assert cut[2].isfinite().nonzero().tolist() == [[7]]


def test_top_k_comes_before_top_p() -> None:
    # Of {4/7, 3/7}, 0.5 is reached by the first alone; of the whole it would not be.
    tokens, _ = _drawn(torch.tensor([[0.4, 0.1, 0.3, 0.2]]).log(), _law(500, top_k=2, top_p=0.5))
    assert set(tokens.tolist()) == {0}


def test_greedy_takes_the_likeliest_and_scores_it_at_temperature_1() -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    law = BatchSamplingParams(
        torch.ones(2), torch.tensor([True, False]), None, torch.zeros(2), torch.zeros(2)
    )
    tokens, logprobs = sample(logits.expand(2, -1).clone(), law, torch.tensor([0.99, 0.99]))
    assert tokens.tolist() == [1, 2]
    assert logprobs.tolist() == pytest.approx([math.log(0.5), math.log(0.3)], abs=1e-6)


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40),
    st.floats(0, 1, exclude_max=True, width=32),
)
@settings(max_examples=200)
def test_the_token_is_where_the_running_sum_passes_u(logits: list[float], u: float) -> None:
    tokens, logprobs = sample(torch.tensor([logits]), _law(1), torch.tensor([u]))
    probs = torch.tensor(logits, dtype=torch.float64).softmax(-1)
    token = int(tokens)
    assert probs[:token].sum() <= u + 1e-5
    assert probs[: token + 1].sum() >= u - 1e-5
    assert float(logprobs) == pytest.approx(float(probs[token].log()), abs=1e-4)


@pytest.mark.parametrize("vocab", [1, 2, 3, 63, 64, 65, 1000])
def test_no_token_without_weight_is_ever_drawn(vocab: int) -> None:
    u = torch.tensor([0.0, 0.5, 1 - 2**-24])
    for only in {0, vocab // 2, vocab - 1}:
        logits = torch.full((3, vocab), -torch.inf)
        logits[:, only] = 0
        tokens, logprobs = sample(logits, _law(3), u)
        assert tokens.tolist() == [only] * 3
        assert logprobs.tolist() == [0.0] * 3


def test_logits_that_are_not_finite_show() -> None:
    _, logprobs = sample(torch.tensor([[0.0, math.nan]]), _law(1), torch.tensor([0.3]))
    assert math.isnan(float(logprobs))


def test_random_numbers_are_uniform_and_depend_on_seed_index_and_position() -> None:
    positions = torch.arange(64)
    grid = torch.stack(
        [uniform(key.expand(64), positions) for s in range(10) for key in keys(s, torch.arange(16))]
    )
    assert len(set(grid.flatten().tolist())) > 0.999 * grid.numel()
    assert float(grid.min()) >= 0
    assert float(grid.max()) < 1
    counts = Counter((grid.flatten() * 16).long().tolist())
    expected = grid.numel() / 16
    chi_square = sum((counts[i] - expected) ** 2 / expected for i in range(16))
    assert chi_square < 37.7  # 99.9 % point of chi-square with 15 degrees of freedom


def test_random_numbers_never_change() -> None:
    # splitmix64(0) is 0xE220A8397B1DCDAF, then 0x6E789E6AA1B965F4 (Steele et al.'s reference).
    u = uniform(torch.zeros(2, dtype=torch.int64), torch.arange(2))
    assert u.tolist() == [0xE220A8 / 2**24, 0x6E789E / 2**24]


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**31)), min_size=1))
def test_random_numbers_are_the_same_on_every_device(pairs: list[tuple[int, int]]) -> None:
    key, position = (torch.tensor(column) for column in zip(*pairs, strict=True))
    assert torch.equal(uniform(key, position), _elsewhere(key, position))


@given(st.integers(1, 9), st.integers(1, 900), st.booleans(), st.integers(0, 2**32))
def test_the_loop_draws_what_torch_draws(rows: int, vocab: int, greedy: bool, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits, u = torch.randn(rows, vocab, generator=random) * 3, torch.rand(rows, generator=random)
    law = _law(rows, 0.7)
    if greedy:
        law = BatchSamplingParams(torch.ones(rows), torch.rand(rows, generator=random) < 0.5, None,
                  law.top_k, law.top_p)  # fmt: skip
    few = sampling._looped(logits, law, u)
    many = sampling._in_torch(logits, law, u)
    same = few[0] == many[0]
    torch.testing.assert_close(few[1][same], many[1][same], atol=3e-6, rtol=1e-5)
    # Two running sums may round a point at the border of two tokens apart.
    probs = (logits / law.temperature[:, None]).softmax(-1).double().cumsum(-1)
    for row in (~same).nonzero()[:, 0].tolist():
        border = probs[row, min(int(few[0][row]), int(many[0][row]))]
        assert abs(float(border) - float(u[row])) < 1e-6


def test_any_integer_is_a_seed() -> None:
    seeds = (-1, 0, 2**63, 2**64 - 1, 2**64)
    first, *_ = [keys(seed, torch.arange(3)).tolist() for seed in seeds]
    assert keys(2**64 - 1, torch.arange(3)).tolist() == first
    assert keys(0, torch.arange(3)).tolist() != keys(1, torch.arange(3)).tolist()
