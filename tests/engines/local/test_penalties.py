"""Penalties, biases and min_p: the laws of transformers' processors, and rows that use none."""

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    MinPLogitsWarper,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RepetitionPenaltyLogitsProcessor,
)

from r1kit.engines.base import generate
from r1kit.engines.local import LocalEngine
from r1kit.engines.local.penalties import adjust_row
from r1kit.types import Request, SamplingParams

PLAIN = SamplingParams(30, temperature=0.0)


def adjusted(row: list[float], prompt: list[int], ids: list[int], **fields: Any) -> list[float]:
    logits = torch.tensor(row)
    sampling = dataclasses.replace(PLAIN, **fields)
    adjust_row(logits, sampling, prompt, torch.tensor(ids, dtype=torch.int64))
    values: list[float] = logits.tolist()
    return values


def test_penalties_by_hand() -> None:
    row = [1.0, 2.0, 3.0, -4.0]
    assert adjusted(row, [0], [1, 1, 3], frequency_penalty=0.5) == [1.0, 1.0, 3.0, -4.5]
    assert adjusted(row, [0], [1, 1, 3], presence_penalty=0.5) == [1.0, 1.5, 3.0, -4.5]
    assert adjusted(row, [0], [1, 1, 3], repetition_penalty=2.0) == [0.5, 1.0, 3.0, -8.0]
    assert adjusted(row, [0], [], logit_bias=((2, -5.0),)) == [1.0, 2.0, -2.0, -4.0]
    assert adjusted(row, [0], [], frequency_penalty=2.0) == row


@settings(max_examples=30, derandomize=True)
@given(
    row=st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=9),
    ids=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    n=st.integers(1, 6),
    factor=st.sampled_from([0.5, 1.3, 2.0]),
    share=st.sampled_from([0.01, 0.3, 0.9]),
)
def test_they_are_those_of_transformers(
    row: list[float], ids: list[int], n: int, factor: float, share: float
) -> None:
    logits, all_ids = torch.tensor([row]), torch.tensor([ids])
    expected = RepetitionPenaltyLogitsProcessor(factor)(all_ids, logits.clone())[0]
    actual = adjusted(row, ids[:n], ids[n:], repetition_penalty=factor)
    torch.testing.assert_close(torch.tensor(actual), expected)
    left = MinPLogitsWarper(share)(all_ids, logits.clone())[0] > -torch.inf
    row_left = torch.tensor(adjusted(row, ids, [], min_p=share)) > -torch.inf
    near = (logits[0].softmax(-1) / logits[0].softmax(-1).max() - share).abs() < 1e-5
    assert bool(((left == row_left) | near).all())


def test_in_the_engine_only_the_rows_that_ask_for_it_change(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    def sampled(*samplings: SamplingParams) -> list[list[int]]:
        engine = LocalEngine(model, byte_tokenizer, max_num_seqs=8, eos_ids=[])
        requests = [Request([5, 6, 7], 1, sampling, seed=3) for sampling in samplings]
        return [group[0].token_ids for group in generate(engine, requests)]

    warm = dataclasses.replace(PLAIN, temperature=1.0)
    forced = dataclasses.replace(warm, logit_bias=((65, 100.0),))
    unrepeated = dataclasses.replace(PLAIN, presence_penalty=2.0, logit_bias=((66, 60.0),))
    strict = dataclasses.replace(warm, min_p=1.0)
    alone = sampled(warm)
    greedy = sampled(PLAIN)
    mixed = sampled(warm, forced, unrepeated, strict, PLAIN)
    assert [mixed[0], mixed[4]] == [alone[0], greedy[0]]
    assert mixed[1] == [65] * 30
    assert mixed[2][0] == 66
    assert mixed[3] == greedy[0]


@pytest.mark.parametrize("penalty", [{"frequency_penalty": 1e9}, {"presence_penalty": 1e9}])
def test_no_token_comes_twice_under_a_huge_penalty(
    model: PreTrainedModel, byte_tokenizer: PreTrainedTokenizerFast, penalty: dict[str, Any]
) -> None:
    engine = LocalEngine(model, byte_tokenizer, max_num_seqs=2, eos_ids=[])
    sampling = dataclasses.replace(PLAIN, **penalty)
    [[completion]] = generate(engine, [Request([5, 6, 7], 1, sampling, seed=3)])
    assert len(set(completion.token_ids)) == 30
