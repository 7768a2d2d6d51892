"""Log-probabilities in chunks: values and gradients are those of the whole logits."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import CohereConfig, GraniteConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from r1kit.model import attention, head, logprobs
from r1kit.model.logprobs import token_logprobs
from tests.conftest import SHAPE, tiny_model

IDS = torch.tensor([4, 8, 15, 16, 23, 42, 108, 4, 8, 15, 17, 23, 99, 4, 8])
LENGTHS = [7, 6, 2]
MASK = torch.tensor([0, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1], dtype=torch.bool)


@pytest.fixture(params=[1, 258, 3 * 258])
def chunked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one, one and three rows of the vocabulary of 258."""
    for module in (head, logprobs):
        monkeypatch.setattr(module, "max_logits", lambda device: request.param)


def gradients(
    model: PreTrainedModel, score: Callable[[PreTrainedModel], Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probabilities, and the gradients of a loss that weighs each token differently."""
    model = copy.deepcopy(model)
    scored = score(model)
    (scored * torch.linspace(-1, 2, len(scored))).sum().backward()
    return scored.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_chunks_change_neither_values_nor_gradients(
    any_model: PreTrainedModel, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(model: PreTrainedModel) -> Tensor:
        return token_logprobs(model, IDS, LENGTHS, MASK, temperature)

    whole, whole_gradients = gradients(any_model, score)
    for limit in (1, 258, 3 * 258, 6 * 258):
        for module in (head, logprobs):
            monkeypatch.setattr(module, "max_logits", lambda device, limit=limit: limit)
        assert head.head_of(any_model) is not None
        parts, part_gradients = gradients(any_model, score)
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)
        assert part_gradients.keys() == whole_gradients.keys()
        for name, gradient in whole_gradients.items():
            torch.testing.assert_close(part_gradients[name], gradient, atol=2e-5, rtol=1e-4)


def test_entropies_are_those_of_the_whole_distributions(
    any_model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = logprobs.scored_logits(any_model, IDS, LENGTHS, MASK)
    expected = torch.distributions.Categorical(logits=logits.detach() / 0.6).entropy()
    for limit in (2**20, 1, 3 * 258):
        for module in (head, logprobs):
            monkeypatch.setattr(module, "max_logits", lambda device, limit=limit: limit)
        actual = logprobs.token_entropies(any_model, IDS, LENGTHS, MASK, 0.6)
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, -1e4, -1e4, -1e4], [1.0, 1.0, -1e4, -1e4]])
    expected = torch.tensor([4.0, 1.0, 2.0]).log()
    torch.testing.assert_close(head.entropies(logits), expected)


def scaled(config: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.set_attn_implementation(attention.NAME)
    return model.eval()


@pytest.mark.parametrize(
    "config",
    [
        CohereConfig(**SHAPE, num_key_value_heads=4, logit_scale=0.25),
        GraniteConfig(**SHAPE, num_key_value_heads=4, logits_scaling=6.0),
    ],
    ids=["cohere", "granite"],
)
@pytest.mark.usefixtures("chunked")
def test_scaled_logits(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = scaled(config)
    found = head.head_of(model)
    assert found is not None
    assert found.scale in (0.25, 1 / 6)
    parts = token_logprobs(model, IDS, LENGTHS, MASK)
    monkeypatch.setattr(logprobs, "max_logits", lambda device: 2**24)
    whole = token_logprobs(model, IDS, LENGTHS, MASK)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("chunked")
def test_a_head_of_another_form_is_left_to_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama-gqa")
    original = model.forward

    def twice(*args: Any, logits_to_keep: Any = 0, **kwargs: Any) -> Any:
        output = original(*args, logits_to_keep=logits_to_keep, **kwargs)
        output.logits = output.logits * 2
        return output

    monkeypatch.setattr(model, "forward", twice)
    assert head.head_of(model) is None
    doubled = token_logprobs(model, IDS, LENGTHS, MASK)
    monkeypatch.undo()
    logits = logprobs.scored_logits(model, IDS, LENGTHS, MASK) * 2
    expected = logits.log_softmax(-1)[torch.arange(len(logits)), IDS[MASK]]
    torch.testing.assert_close(doubled, expected)


@pytest.mark.usefixtures("chunked")
def test_a_frozen_head_gets_no_gradient() -> None:
    model = tiny_model("llama-gqa")
    model.get_output_embeddings().requires_grad_(False)
    token_logprobs(model, IDS, LENGTHS, MASK).sum().backward()
    assert model.get_output_embeddings().weight.grad is None
    assert model.get_input_embeddings().weight.grad is not None


@pytest.mark.usefixtures("chunked")
def test_bfloat16_logits_are_scored_in_fp32() -> None:
    model = tiny_model("gemma2").to(torch.bfloat16)
    parts, part_gradients = gradients(model, lambda m: token_logprobs(m, IDS, LENGTHS, MASK))
    assert parts.dtype == torch.float32
    exact = token_logprobs(tiny_model("gemma2"), IDS, LENGTHS, MASK)
    torch.testing.assert_close(parts, exact, atol=0.15, rtol=0)
    assert {gradient.dtype for gradient in part_gradients.values()} == {torch.bfloat16}


def test_small_logits_stay_whole_and_bit_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("gemma2")
    whole = token_logprobs(model, IDS, LENGTHS, MASK)
    monkeypatch.setattr(logprobs, "head_of", lambda model: pytest.fail("this needs no chunks"))
    assert torch.equal(token_logprobs(model, IDS, LENGTHS, MASK), whole)


class LargestTensor(TorchDispatchMode):
    """Records the size of the largest tensor that any operation returns."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                self.numel = max(self.numel, tensor.numel())
        return result


@pytest.mark.parametrize(("limit", "is_whole"), [(20 * 258, False), (2**24, True)])
def test_no_tensor_has_tokens_times_vocabulary(
    limit: int, is_whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In neither pass; the vocabulary times the width, which weights have, is smaller here."""
    for module in (head, logprobs):
        monkeypatch.setattr(module, "max_logits", lambda device: limit)
    model = tiny_model("gemma2")
    head.head_of(model)
    with LargestTensor() as largest:  # type: ignore[no-untyped-call]
        mask = torch.arange(200) % 20 > 0
        token_logprobs(model, torch.arange(200), [20] * 10, mask).sum().backward()
    assert (largest.numel >= 190 * 258) is is_whole
