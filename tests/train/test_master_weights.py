"""bf16 models learn as fp32 models do: no small step and no gradient is lost."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from r1kit.config import OptimConfig
from r1kit.errors import ConfigError
from r1kit.model.roles import roles_of
from r1kit.train.master_weights import MasterWeights
from r1kit.train.optim import OptimizerGroup, Optimizers, make_optimizers
from tests.train.test_optim import tiny

STEP = OptimConfig(optimizer="adamw", lr=1e-6, grad_clip=1e9)


def bf16_model() -> nn.Module:
    model: nn.Module = tiny().to(torch.bfloat16)
    return model


def constant_gradients(model: nn.Module, value: float) -> None:
    """A backward pass that gives every parameter this gradient."""
    losses = [(value * parameter.float()).sum() for parameter in model.parameters()]
    torch.stack(losses).sum().backward()


def train(model: nn.Module, optimizers: Optimizers, values: list[float]) -> None:
    for value in values:
        constant_gradients(model, value)
        optimizers.step(1.0)


def test_steps_of_a_millionth_accumulate() -> None:
    model = bf16_model()
    ones = nn.init.ones_(next(model.parameters()))
    optimizers = make_optimizers(roles_of(model), STEP)
    train(model, optimizers, [1.0] * 100)
    # AdamW moves by lr per step: 1e-4 in all, far below half the spacing of bf16 below 1, 0.002.
    master = optimizers.weights.of(next(model.parameters()))
    torch.testing.assert_close(master, torch.full_like(master, 1 - 1e-4), atol=2e-6, rtol=0)
    assert (ones == 1).all()
    optimizers.parts["adamw"] = OptimizerGroup(optimizers.parts["adamw"].optimizer, 1e-4)
    train(model, optimizers, [1.0] * 40)
    assert (ones == 1 - 2**-8).all()  # the next bf16 number


def test_updates_are_those_of_an_fp32_model() -> None:
    model = bf16_model()
    exact = copy.deepcopy(model).float()
    config = STEP.model_copy(update={"lr": 1e-3, "weight_decay": 0.1, "grad_clip": 1.0})
    pair = [(m, make_optimizers(roles_of(m), config)) for m in (model, exact)]
    for m, optimizers in pair:
        train(m, optimizers, [0.5, -1.0, 2.0])
    for parameter, expected in zip(model.parameters(), exact.parameters(), strict=True):
        assert torch.equal(parameter, expected.to(torch.bfloat16))
        assert torch.equal(pair[0][1].weights.of(parameter), expected)


def test_gradients_of_micro_batches_add_up_in_fp32() -> None:
    model = bf16_model()
    optimizers = make_optimizers(roles_of(model), STEP)
    for _ in range(300):  # in bf16 the sum would stop at 256
        constant_gradients(model, 1.0)
    for parameter in model.parameters():
        gradient = optimizers.weights.of(parameter).grad
        assert parameter.grad is None
        assert gradient is not None
        assert gradient.dtype == torch.float32
        assert (gradient == 300).all()


def test_an_fp32_model_has_no_copies() -> None:
    model = tiny()
    weights = MasterWeights(model.parameters())
    assert weights.state() == []
    assert list(map(id, weights.updated)) == list(map(id, model.parameters()))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_bf16_run_continues_bit_equal(optimizer: Any) -> None:
    config = STEP.model_copy(update={"optimizer": optimizer, "lr": 1e-4, "muon_lr": 1e-4})
    whole = bf16_model()
    train(whole, make_optimizers(roles_of(whole), config), [1.0, 0.5, -0.3, 0.2])
    first = bf16_model()
    optimizers = make_optimizers(roles_of(first), config)
    train(first, optimizers, [1.0, 0.5])
    state, second = copy.deepcopy(optimizers.state_dict()), bf16_model()
    second.load_state_dict(first.state_dict())
    resumed = make_optimizers(roles_of(second), config)
    resumed.load_state_dict(state)
    train(second, resumed, [-0.3, 0.2])
    for actual, expected in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.equal(actual, expected)
    assert equal_lists(resumed.weights.state(), state["master_weights"]) is False


def equal_lists(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


def test_the_precision_may_change_between_sessions() -> None:
    """The copies become the weights of an fp32 model; an fp32 run has none to give."""
    model = bf16_model()
    optimizers = make_optimizers(roles_of(model), STEP)
    train(model, optimizers, [1.0] * 3)
    exact = tiny()
    in_fp32 = make_optimizers(roles_of(exact), STEP)
    in_fp32.load_state_dict(copy.deepcopy(optimizers.state_dict()))
    assert equal_lists(list(exact.parameters()), optimizers.weights.state())
    back = bf16_model()
    in_bf16 = make_optimizers(roles_of(back), STEP)
    in_bf16.load_state_dict(copy.deepcopy(in_fp32.state_dict()))
    train(back, in_bf16, [1.0])


def test_adam_in_8_bits_is_refused_without_a_gpu() -> None:
    config = OptimConfig(optimizer="adamw8bit")
    with pytest.raises(
        ConfigError, match=r'needs an NVIDIA GPU.* on the cpu; set it to "adamw"\.$'
    ):
        make_optimizers(roles_of(tiny()), config)
