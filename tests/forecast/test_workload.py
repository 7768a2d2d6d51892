"""Tokens of a step and of its micro-batches, by hand and by simulation."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.config import RLConfig
from r1kit.forecast.workload import (
    PromptLengths,
    learn_work,
    micro_batch,
    prompts_by_size,
    prompts_of,
)


def test_prompts_are_measured() -> None:
    assert prompts_of([[1, 2, 3, 4], [1, 2, 9]]) == PromptLengths(3.5, 4, 2)
    assert prompts_of([[1, 2, 3]]) == PromptLengths(3, 3, 0)
    assert prompts_by_size(["12345", "1234567890"]) == PromptLengths(3, 4, 0)
    assert prompts_by_size(["\ud800" * 5]).longest == 2


def test_one_group_has_its_prompt_once() -> None:
    batch = micro_batch(1, 8, PromptLengths(10, 10), 20, 10_000)
    assert (batch.tokens, batch.cells, batch.scored) == (10 + 8 * 20, 8 * 30, 8 * 20)


def test_a_sequence_longer_than_the_limit_is_alone() -> None:
    batch = micro_batch(4, 8, PromptLengths(10, 12), 100, 64)
    assert batch.cells == 112
    assert batch.tokens == 112


def test_a_prompt_that_all_share_is_there_once() -> None:
    shared = micro_batch(4, 2, PromptLengths(10, 10, shared=9), 20, 10_000)
    assert shared.tokens == 9 + 4 * 1 + 8 * 20


def test_the_groups_in_a_micro_batch_are_as_many_as_drawn() -> None:
    """Twelve of 32 sequences, eight of each group: simulated."""
    draws = random.Random(0)
    members = [group for group in range(4) for _ in range(8)]
    mean = sum(len(set(draws.sample(members, 12))) for _ in range(4000)) / 4000
    batch = micro_batch(4, 8, PromptLengths(10, 10), 20, 360)
    assert batch.tokens == pytest.approx(10 * mean + 12 * 20, rel=0.01)


@given(
    st.integers(1, 16), st.integers(2, 16), st.integers(1, 200), st.integers(1, 500),
    st.integers(64, 5000),
)  # fmt: skip
def test_merged_tokens_are_never_more(
    groups: int, per_group: int, prompt: int, length: int, limit: int
) -> None:
    batch = micro_batch(groups, per_group, PromptLengths(prompt, prompt), length, limit)
    assert 0 < batch.scored <= batch.tokens <= batch.cells
    assert batch.cells <= max(limit, prompt + length)


def test_the_work_of_a_step() -> None:
    config = RLConfig(n_problems=8, n_completions=4, updates_per_step=2)
    work = learn_work(config, PromptLengths(10, 10), 30, 2, micro_batch_tokens=10_000)
    # Two updates over two groups of four, each a single micro-batch.
    assert work.n_batches == 2
    assert work.tokens == 2 * (2 * 10 + 8 * 30)
