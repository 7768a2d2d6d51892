"""Policies: what they train and save, and the reference that a KL term compares them with."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from r1kit.errors import ConfigError
from r1kit.model.fused import inference
from r1kit.model.policy import Policy
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.types import Checkpoint
from tests.conftest import policy_of

IDS, MASK = torch.tensor([256, 65, 66, 67]), torch.tensor([False, True, True, True])


@torch.no_grad()
def logprobs(policy: Policy) -> torch.Tensor:
    return policy.logprobs(IDS, [len(IDS)], MASK)


def shift(policy: Policy) -> None:
    with torch.no_grad():
        for parameter in policy.trainable():
            parameter.add_(0.1 * torch.randn_like(parameter))


def test_the_reference_stays_while_the_policy_is_trained(model: PreTrainedModel) -> None:
    policy = policy_of(model)
    assert not policy.has_reference
    assert policy.reference_state() == {}
    policy.refresh_reference()
    first = logprobs(policy)
    shift(policy)
    reference = policy.reference_logprobs(IDS, [len(IDS)], MASK)
    assert torch.equal(reference, first)
    assert not reference.requires_grad
    assert not torch.equal(logprobs(policy), first)
    policy.refresh_reference()
    assert torch.equal(policy.reference_logprobs(IDS, [len(IDS)], MASK), logprobs(policy))


def test_the_reference_is_no_trained_parameter(model: PreTrainedModel) -> None:
    policy = policy_of(model)
    policy.refresh_reference()
    assert list(map(id, policy.trainable())) == list(map(id, model.parameters()))
    assert policy._reference is not None
    with policy._reference.module() as reference:
        assert not any(parameter.requires_grad for parameter in reference.parameters())


def test_a_resumed_policy_has_the_reference_it_was_saved_with(model: PreTrainedModel) -> None:
    policy = policy_of(model)
    policy.refresh_reference()
    first, state = logprobs(policy), policy.reference_state()
    shift(policy)
    policy.refresh_reference()
    policy.load_reference(state)
    assert torch.equal(policy.reference_logprobs(IDS, [len(IDS)], MASK), first)
    with pytest.raises(KeyError):
        policy.load_reference({})


def test_what_is_saved_loads_as_the_same_policy(model: PreTrainedModel, tmp_path: Path) -> None:
    policy = policy_of(model)
    manifest = Checkpoint(
        path="",
        stage="zero",
        step=1,
        weights_from=None,
        data_from=None,
        tokenizer_hash=tokenizer_hash(policy.tokenizer),
        config_hash="",
    )
    policy.save(tmp_path / "zero-1", manifest)
    loaded = Policy.load(tmp_path / "zero-1", "cpu")
    assert torch.equal(logprobs(loaded), logprobs(policy))
    assert loaded.n_parameters == policy.n_parameters
    assert loaded.max_positions == 256


def layer_activations(policy: Policy) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients of a packed batch with a shared prefix, and the numbers that autograd stored."""
    ids = torch.tensor([256, 65, 66, 67, 256, 65, 66, 70, 71])
    mask = torch.tensor([0, 1, 1, 1, 0, 1, 0, 1, 1], dtype=torch.bool)
    stored = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal stored
        stored += tensor.numel()
        return tensor

    policy.module.train()
    policy.module.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = policy.logprobs(ids, [4, 5], mask).sum()
    loss.backward()
    policy.module.eval()
    names = policy.module.named_parameters()
    return {n: p.grad.clone() for n, p in names if p.grad is not None}, stored


def test_gradient_checkpointing_stores_less_and_changes_no_bit(any_model: PreTrainedModel) -> None:
    policy = policy_of(any_model)
    kind = type(inference(any_model))
    before, n_before = layer_activations(policy)
    policy.checkpoint_gradients()
    after, n_after = layer_activations(policy)
    assert n_after < n_before / 2
    assert type(inference(any_model)) is kind
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_architecture_without_gradient_checkpointing_is_refused(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model), "supports_gradient_checkpointing", False)
    with pytest.raises(ConfigError, match="set compute.gradient_checkpointing = false"):
        policy_of(model).checkpoint_gradients()
