"""Scored positions, temperature, and models that score their logits in their own way."""

import math

import pytest
import torch
from transformers import PreTrainedModel

from r1kit.model.logprobs import scored_logits, token_logprobs

IDS = torch.tensor([4, 8, 15, 16, 23, 42, 108])
LENGTHS = [3, 4]
MASK = torch.tensor([0, 1, 0, 0, 0, 1, 1], dtype=torch.bool)


@torch.no_grad()
def test_a_token_is_scored_by_the_one_before(any_model: PreTrainedModel) -> None:
    if any_model.config.model_type == "gemma2":
        assert any_model.config.final_logit_softcapping is not None
    logits = torch.cat([any_model(part[None]).logits[0] for part in IDS.split(LENGTHS)])
    torch.testing.assert_close(
        scored_logits(any_model, IDS, LENGTHS, MASK), logits[[0, 4, 5]], atol=1e-5, rtol=1e-5
    )
    for temperature in (1.0, 0.6):
        expected = (logits / temperature).log_softmax(-1)[[0, 4, 5], IDS[[1, 5, 6]]]
        scored = token_logprobs(any_model, IDS, LENGTHS, MASK, temperature)
        torch.testing.assert_close(scored, expected, atol=1e-5, rtol=0)


def test_a_uniform_model_gives_the_logarithm_of_its_vocabulary(model: PreTrainedModel) -> None:
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
        scored = token_logprobs(model, IDS, LENGTHS, MASK)
    assert scored.tolist() == pytest.approx([-math.log(258)] * 3, abs=1e-6)


def test_logits_of_a_bfloat16_model_are_scored_in_fp32(model: PreTrainedModel) -> None:
    scored = token_logprobs(model.to(torch.bfloat16), IDS, LENGTHS, MASK)
    assert scored.dtype == torch.float32
    scored.sum().backward()


def test_the_first_token_of_a_sequence_cannot_be_scored(model: PreTrainedModel) -> None:
    mask = MASK.clone()
    mask[3] = True
    with pytest.raises(ValueError, match="first token"):
        token_logprobs(model, IDS, LENGTHS, mask)


def test_nothing_scored_is_an_empty_answer(model: PreTrainedModel) -> None:
    assert token_logprobs(model, IDS, LENGTHS, torch.zeros_like(MASK)).shape == (0,)
