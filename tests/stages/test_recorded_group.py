"""A recorded group has the entropies of the distributions that its tokens were drawn from."""

import dataclasses

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from r1kit.config import RLConfig
from r1kit.model.policy import Policy
from r1kit.rollouts import token_record
from r1kit.stages.recorded_group import record_group
from r1kit.types import Rollout
from tests.conftest import tiny_model
from tests.groups import RIGHT, WRONG, group


def completed(rollout: Rollout, token_ids: list[int]) -> Rollout:
    completion = dataclasses.replace(rollout.completion, token_ids=token_ids)
    return dataclasses.replace(rollout, completion=completion)


def test_entropies_are_those_of_the_model_at_the_temperature_of_sampling(
    byte_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("qwen2")
    rollouts = [completed(RIGHT, [9, 14]), completed(WRONG, [9, 30, 31]), completed(RIGHT, [8, 8])]
    monkeypatch.setattr(token_record, "MAX_RECORDED_TOKENS", 5)
    config = RLConfig(temperature=0.7)
    line = record_group("zero", 5, group(*rollouts), Policy(model, byte_tokenizer), config)
    for rollout, recorded in zip(rollouts[:2], line["rollouts"], strict=False):
        ids = torch.tensor([rollout.prompt_ids + rollout.completion.token_ids])
        logits = model(ids).logits[0, len(rollout.prompt_ids) - 1 : -1].detach()
        expected = torch.distributions.Categorical(logits=logits / 0.7).entropy()
        assert recorded["entropies"] == pytest.approx(expected.tolist(), abs=6e-4)
        assert len(recorded["entropies"]) == len(recorded["tokens"])
    assert "tokens" not in line["rollouts"][2], "more than are recorded"
    assert [rollout["advantage"] > 0 for rollout in line["rollouts"]] == [True, False, True]
