"""The sampler of a policy, and how it gets new weights."""

import pytest
from transformers import PreTrainedModel

from r1kit.config import SamplerConfig
from r1kit.engines.base import generate
from r1kit.engines.open import open_sampler
from r1kit.types import Request, SamplingParams
from tests.conftest import policy_of, tiny_model

PROMPT = list(range(65, 85))


def test_published_weights_are_those_that_are_sampled_from(model: PreTrainedModel) -> None:
    """After a publish the sampler answers as a new one of the new weights does."""
    policy = policy_of(model)
    requests = [Request(PROMPT, 2, SamplingParams(8), seed=1)]
    with open_sampler(policy, SamplerConfig(max_num_seqs=4)) as (sampler, weight_sync):
        weight_sync.publish(policy, 3)
        before = generate(sampler, requests)[0]
        policy.module.load_state_dict(tiny_model("qwen2", seed=9).state_dict())
        weight_sync.publish(policy, 4)
        after = generate(sampler, requests)[0]
    with open_sampler(policy, SamplerConfig(max_num_seqs=4)) as (fresh, _):
        expected = generate(fresh, requests)[0]
    assert {completion.policy_version for completion in before} == {3}
    assert [c.token_ids for c in after] == [c.token_ids for c in expected]
    assert [c.logprobs for c in after] == [c.logprobs for c in expected]
    assert [c.token_ids for c in after] != [c.token_ids for c in before]
    assert {completion.policy_version for completion in after} == {4}


def test_shared_weights_refuse_another_policy(model: PreTrainedModel) -> None:
    other = policy_of(tiny_model("qwen2"))
    opening = open_sampler(policy_of(model), SamplerConfig(max_num_seqs=1))
    with opening as (_, weight_sync), pytest.raises(AssertionError, match="another policy"):
        weight_sync.publish(other, 1)
