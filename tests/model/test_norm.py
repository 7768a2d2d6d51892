"""RMS norm: the value and the gradient by hand, and as transformers' own."""

import copy

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from transformers import PreTrainedModel

from r1kit.model.norm import RMSNorm, _Norm, replace_norms


def normed(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    y: Tensor = _Norm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return y


def test_by_hand() -> None:
    """rms(1, 7) = 5; d/dx1 of y1 = 1/5 - 1 * 1 / (2 * 125) = 0.196."""
    x = torch.tensor([[1.0, 7.0]], dtype=torch.float64, requires_grad=True)
    y = normed(x, torch.tensor([1.0, 2.0], dtype=torch.float64), 0.0)
    torch.testing.assert_close(y, torch.tensor([[0.2, 2.8]], dtype=torch.float64))
    y[0, 0].backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([[0.196, -0.028]], dtype=torch.float64))


def test_its_gradient_is_that_of_its_value() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, w: normed(x, w, 1e-3), (x, weight), atol=1e-6, rtol=1e-5)


OTHER_NORMS = {"gemma2", "gemma3_text", "gpt_neox", "olmo2", "phi"}


def test_a_model_with_it_is_the_same_model(any_model: PreTrainedModel) -> None:
    ids = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    ours = copy.deepcopy(any_model)
    replace_norms(ours)
    for model in (any_model, ours):
        model(ids, labels=ids).loss.backward()
    torch.testing.assert_close(ours(ids).logits, any_model(ids).logits, atol=2e-5, rtol=1e-5)
    for own, theirs in zip(ours.parameters(), any_model.parameters(), strict=True):
        torch.testing.assert_close(own.grad, theirs.grad, atol=2e-5, rtol=1e-4)
    assert ours.state_dict().keys() == any_model.state_dict().keys()
    is_plain = any_model.config.model_type not in OTHER_NORMS
    assert any(type(module) is RMSNorm for module in ours.modules()) == is_plain


def test_half_precision_norms_in_full() -> None:
    norm = nn.RMSNorm(4)
    x = torch.tensor([300.0, 1.0, 2.0, 3.0]).bfloat16()
    ours = normed(x, norm.weight.detach().bfloat16(), 1e-6)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.float(), norm(x.float()), atol=1e-2, rtol=1e-2)
