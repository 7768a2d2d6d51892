"""Adapters: merged = applied, the reference, saving, and the engine that samples with them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from r1kit.config import LoraConfig
from r1kit.engines.base import generate
from r1kit.engines.local import LocalEngine
from r1kit.errors import ConfigError
from r1kit.model import causal_lm, checkpoint, lora
from r1kit.model.fused import _LlamaLike, inference
from r1kit.model.policy import Policy
from r1kit.model.roles import roles_of
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.types import Checkpoint, Request, SamplingParams
from tests.conftest import policy_of, tiny_model

IDS = torch.tensor([256, 65, 66, 67, 256, 65, 66, 70, 71])
LENGTHS, MASK = [4, 5], torch.tensor([0, 1, 1, 1, 0, 1, 0, 1, 1], dtype=torch.bool)


def logprobs(policy: Policy) -> Tensor:
    with torch.no_grad():
        return policy.logprobs(IDS, LENGTHS, MASK)


def adapted(model: PreTrainedModel, **settings: Any) -> Policy:
    policy = policy_of(model)
    policy.add_adapter(LoraConfig(**{"r": 3, **settings}), "0/zero")
    return policy


def shift(policy: Policy) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in policy.trainable():
            parameter.add_(0.1 * torch.randn_like(parameter))


def saved(policy: Policy, path: Path) -> Path:
    facts: dict[str, Any] = {"weights_from": None, "data_from": None, "config_hash": ""}
    manifest = Checkpoint("", "zero", 1, tokenizer_hash=tokenizer_hash(policy.tokenizer), **facts)
    policy.save(path / "zero-1", manifest, {"a": 1})
    return path / "zero-1"


def test_new_adapters_change_nothing_and_are_all_that_is_trained(
    any_model: PreTrainedModel,
) -> None:
    before = logprobs(policy_of(any_model))
    names = {name for name, _ in any_model.named_parameters()}
    policy = adapted(any_model)
    assert torch.equal(logprobs(policy), before)
    assert set(policy.trainable().values()) == {"adapter"}
    policy.logprobs(IDS, LENGTHS, MASK).sum().backward()
    for name, parameter in any_model.named_parameters():
        assert (parameter.grad is None) is (".lora_" not in name)
    assert lora.merged_weights(any_model).keys() >= names
    [embedding, *_] = [m for m in any_model.modules() if isinstance(m, torch.nn.Embedding)]
    assert not lora.is_adapted(embedding)
    assert not lora.is_adapted(any_model.get_output_embeddings())


def test_merged_is_applied(any_model: PreTrainedModel, tmp_path: Path) -> None:
    original = copy.deepcopy(any_model)
    policy = adapted(any_model)
    shift(policy)
    assert (logprobs(policy) - logprobs(policy_of(original))).abs().max() > 0.01
    loaded = Policy.load(saved(policy, tmp_path), "cpu")
    assert not lora.has_adapter(loaded.module)
    torch.testing.assert_close(logprobs(loaded), logprobs(policy), atol=1e-5, rtol=1e-5)
    assert loaded.module.state_dict().keys() == original.state_dict().keys()
    frozen = {n.replace(".base_layer", ""): p for n, p in policy.module.named_parameters()}
    for name, parameter in original.named_parameters():
        assert torch.equal(frozen[name], parameter)


def test_the_scale_is_alpha_over_r() -> None:
    model = tiny_model("llama-gqa")
    policy = adapted(model, r=2, lora_alpha=6.0, target_modules=("q_proj",))
    shift(policy)
    layer: Any = model.model.layers[0].self_attn.q_proj
    a, b = (getattr(layer, name)["default"].weight for name in ("lora_A", "lora_B"))
    merged = lora.merged_weights(model)["model.layers.0.self_attn.q_proj.weight"]
    torch.testing.assert_close(merged, layer.base_layer.weight + 3 * b @ a)
    assert {name.split(".")[-4] for name in lora.adapter_state(model)} == {"q_proj"}


def test_the_same_seed_gives_the_same_adapters() -> None:
    states = []
    for seed in ("0/zero", "0/zero", "1/zero"):
        model = tiny_model("llama-gqa")
        lora.add_adapter(model, LoraConfig(), seed)
        states.append(lora.adapter_state(model))
    first, same, other = (torch.cat([t.flatten() for t in state.values()]) for state in states)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_saved_adapter_is_restored_bit_equal(tmp_path: Path) -> None:
    policy = adapted(tiny_model("qwen2"))
    shift(policy)
    state = checkpoint.load_state(saved(policy, tmp_path))
    assert state is not None
    again = adapted(tiny_model("qwen2"))
    assert not torch.equal(logprobs(again), logprobs(policy))
    again.load_adapter(state)
    assert torch.equal(logprobs(again), logprobs(policy))
    with pytest.raises(KeyError):
        again.load_adapter({})


def test_the_reference_is_that_of_a_full_copy(any_model: PreTrainedModel) -> None:
    """The adapters of the last refresh, on the frozen weights; at first these alone."""
    policy, full = adapted(copy.deepcopy(any_model)), policy_of(any_model)
    for refreshed in (policy, full):
        refreshed.refresh_reference()
    shift(policy)
    scored = (IDS, LENGTHS, MASK)
    graph = policy.logprobs(*scored)
    expected = torch.autograd.grad(graph.sum(), list(policy.trainable()), retain_graph=True)
    reference = policy.reference_logprobs(*scored)
    assert torch.equal(reference, full.reference_logprobs(*scored))
    assert not torch.equal(reference, graph)
    # The pass of the reference, between forward and backward, leaves the gradients as they were.
    actual = torch.autograd.grad(graph.sum(), list(policy.trainable()))
    assert all(torch.equal(*pair) for pair in zip(actual, expected, strict=True))
    policy.refresh_reference()
    before, state = logprobs(policy), policy.reference_state()
    shift(policy)
    assert torch.equal(policy.reference_logprobs(*scored), before)
    policy.refresh_reference()
    policy.load_reference(state)
    assert torch.equal(policy.reference_logprobs(*scored), before)


@pytest.mark.parametrize("name", ["llama-gqa", "gemma2", "deepseek_v3"])
def test_the_engine_samples_with_the_adapters(name: str) -> None:
    """Its log-probabilities are the learner's, and its weights are not copied."""
    policy = adapted(tiny_model(name))
    shift(policy)
    engine = LocalEngine(policy.module, policy.tokenizer, max_num_seqs=8)
    assert isinstance(inference(policy.module), _LlamaLike) is (name == "llama-gqa")
    prompt = [256, 65, 66]
    [[completion]] = generate(engine, [Request(prompt, 1, SamplingParams(12, 1.0), seed=0)])
    ids = torch.tensor(prompt + completion.token_ids)
    with torch.no_grad():
        scored = policy.logprobs(ids, [len(ids)], torch.arange(len(ids)) >= 3)
    torch.testing.assert_close(torch.tensor(completion.logprobs), scored, atol=1e-4, rtol=1e-4)


def test_adapters_of_a_bf16_model_are_bf16_and_save_no_fp32_inputs() -> None:
    """The optimizer has fp32 copies; an fp32 adapter would save its input once more."""
    model = tiny_model("llama-gqa").to(torch.bfloat16)
    policy = adapted(model)
    assert {parameter.dtype for parameter in policy.trainable()} == {torch.bfloat16}
    inputs: list[torch.dtype] = []
    for name, module in model.named_modules():
        if name.endswith("lora_A.default"):
            module.register_forward_pre_hook(lambda _, args: inputs.append(args[0].dtype))
    shift(policy)
    logprobs(policy)
    assert set(inputs) == {torch.bfloat16}
    merged = causal_lm.prepare(copy.deepcopy(tiny_model("llama-gqa")).to(torch.bfloat16), "m")
    merged.load_state_dict(lora.merged_weights(model))
    torch.testing.assert_close(logprobs(policy_of(merged)), logprobs(policy), atol=0.2, rtol=0)


def test_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match=r'lora.target_modules does not fit.* to "all-linear"\.$'):
        adapted(tiny_model("llama-gqa"), target_modules=("q_projection",))
    with pytest.raises(ConfigError, match=r"names down_proj, .* only for attention"):
        adapted(tiny_model("deepseek_v3"), target_modules=("o_proj", "down_proj"))
    with pytest.raises(ConfigError, match="names the embedding or the head"):
        adapted(tiny_model("llama-gqa"), target_modules=("lm_head", "q_proj"))


def test_roles_tell_adapters_from_matrices() -> None:
    model = tiny_model("llama-gqa")
    lora.add_adapter(model, LoraConfig(), "0")
    model.requires_grad_(True)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, role in roles_of(model).items():
        assert (role == "adapter") is (".lora_" in names[id(parameter)])
