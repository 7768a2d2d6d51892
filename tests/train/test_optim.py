"""Schedules by hand; who is updated by what; clipping; a resume that changes no bit."""

import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from r1kit.config import OptimConfig
from r1kit.errors import CheckpointError, ConfigError
from r1kit.model.roles import roles_of
from r1kit.train import muon
from r1kit.train.optim import Optimizers, lr_scale, make_optimizers


def tiny(tied: bool = True) -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            tie_word_embeddings=tied,
        )
    )


def fill_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def train(model: nn.Module, optimizers: Optimizers, seeds: range) -> None:
    for seed in seeds:
        fill_gradients(model, seed)
        optimizers.step(lr_scale=1 / (seed + 1))


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def names_of(model: nn.Module, optimizers: Optimizers, part: str, group: int) -> set[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    params = optimizers.parts[part].optimizer.param_groups[group]["params"]
    return {names[id(parameter)] for parameter in params}


MUON = OptimConfig(optimizer="muon", lr=3e-3, muon_lr=0.02, weight_decay=0.01)
ADAMW = OptimConfig(optimizer="adamw", lr=3e-3, weight_decay=0.01)


@pytest.mark.parametrize(
    ("config", "n_steps", "expected"),
    [
        (OptimConfig(), 3, [1, 1, 1]),
        (OptimConfig(warmup_steps=4), 6, [0.25, 0.5, 0.75, 1, 1, 1]),
        # decay over the last 0.5 * 8 = 4 steps, from 1 to 0.2 in fourths of 0.8
        (
            OptimConfig(schedule="wsd", decay=0.5, final_lr=0.2, warmup_steps=2),
            8,
            [0.5, 1, 1, 1, 0.8, 0.6, 0.4, 0.2],
        ),
        # (1 - cos(pi * k / 4)) / 2 for k = 1..4 is 0.146, 0.5, 0.854, 1; times the 0.9 to lose
        (
            OptimConfig(schedule="cosine", final_lr=0.1, warmup_steps=1),
            5,
            [1, 1 - 0.9 * (2 - math.sqrt(2)) / 4, 0.55, 1 - 0.9 * (2 + math.sqrt(2)) / 4, 0.1],
        ),
        # a decay that would begin inside the warm-up begins after it
        (
            OptimConfig(schedule="wsd", decay=1.0, final_lr=0.0, warmup_steps=2),
            4,
            [0.5, 1, 0.5, 0],
        ),
        (OptimConfig(schedule="wsd", decay=0.0), 3, [1, 1, 1]),
    ],
)
def test_schedules_by_hand(config: OptimConfig, n_steps: int, expected: list[float]) -> None:
    scales = [lr_scale(step, n_steps, config) for step in range(n_steps)]
    assert scales == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "wsd"])
def test_schedules_stay_in_range_past_the_end_and_within_warmup(schedule: str) -> None:
    config = OptimConfig.model_validate(
        {"schedule": schedule, "warmup_steps": 10, "final_lr": 0.1, "decay": 0.3}
    )
    for n_steps in (1, 5, 10, 11, 100):
        assert all(0 < lr_scale(step, n_steps, config) <= 1 for step in range(n_steps + 20))


@pytest.mark.parametrize("tied", [True, False])
def test_muon_has_the_matrices_of_the_layers_and_adamw_the_rest(tied: bool) -> None:
    model = tiny(tied)
    optimizers = make_optimizers(roles_of(model), MUON)
    matrices = names_of(model, optimizers, "muon", 0)
    decayed = names_of(model, optimizers, "adamw", 0)
    vectors = names_of(model, optimizers, "adamw", 1)
    assert len(matrices) == 2 * 7  # q, k, v, o, gate, up, down of two layers
    assert all(".layers." in name and name.endswith("proj.weight") for name in matrices)
    assert decayed == {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    assert len(vectors) == 2 * (3 + 2) + 1  # q, k, v biases and two norms a layer; the last norm
    assert len(matrices | decayed | vectors) == len(list(model.named_parameters()))


def test_adamw_alone_has_everything_once_and_frozen_parameters_are_nobodys() -> None:
    model = tiny()
    model.model.embed_tokens.weight.requires_grad_(False)
    optimizers = make_optimizers(roles_of(model), ADAMW)
    groups = optimizers.parts["adamw"].optimizer.param_groups
    assert list(optimizers.parts) == ["adamw"]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters())) - 1


def test_muon_without_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="adamw"):
        make_optimizers(roles_of(nn.Linear(4, 4)), MUON)


def test_first_adamw_step_by_hand() -> None:
    # Adam's first step is lr * sign(gradient); the matrix also shrinks by lr * weight_decay.
    model = nn.Linear(2, 1)
    nn.init.constant_(model.weight, 1.0)
    nn.init.constant_(model.bias, 1.0)
    config = OptimConfig(lr=0.1, weight_decay=0.5, grad_clip=100)
    optimizers = make_optimizers(roles_of(model), config)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0, -4.0]]), torch.tensor([12.0])
    assert optimizers.step(lr_scale=0.5) == pytest.approx(13.0)  # 3, 4, 12 -> 13
    assert model.weight.tolist()[0] == pytest.approx([1 - 0.025 - 0.05, 1 - 0.025 + 0.05])
    assert model.bias.tolist() == pytest.approx([1 - 0.05])
    assert model.weight.grad is None


def test_first_muon_step_is_the_scaled_orthogonal_factor() -> None:
    # An orthogonal gradient is its own orthogonal factor; five Newton-Schulz steps bring singular
    # values to between about 0.7 and 1.2. Muon multiplies by sqrt(rows / columns) = 2 here.
    model = nn.Module()
    layer = nn.Linear(4, 16, bias=False)
    model.layers = nn.ModuleList([layer])
    weight = layer.weight
    before = weight.detach().clone()
    optimizers = make_optimizers(roles_of(model), OptimConfig(optimizer="muon", muon_lr=0.5))
    torch.manual_seed(0)
    weight.grad = torch.linalg.qr(torch.randn(16, 4)).Q * 1e-3
    optimizers.step(lr_scale=1.0)
    sizes = torch.linalg.svdvals((before - weight) / (0.5 * 2))
    assert sizes.min() > 0.65
    assert sizes.max() < 1.25


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batched_muon_steps_as_torch_does(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muon, "_product_dtype", lambda _: dtype)
    torch.manual_seed(0)
    shapes = [(8, 8), (16, 8), (8, 16), (8, 8), (12, 8)]
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in shapes] for _ in range(2))
    settings: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.05}
    pair = (muon.BatchedMuon(ours, **settings), torch.optim.Muon(theirs, **settings))
    for step in range(3):
        for own, other in zip(ours, theirs, strict=True):
            own.grad = torch.randn(own.shape)
            other.grad = own.grad.clone()
        ours[-1].grad = theirs[-1].grad = None if step == 0 else ours[-1].grad
        for optimizer in pair:
            optimizer.step()
    for own, other in zip(ours, theirs, strict=True):
        assert torch.allclose(own, other, atol=0.02)  # torch rounds to bf16, 0.004 a step
        momenta = [o.state[p]["momentum_buffer"] for o, p in zip(pair, (own, other), strict=True)]
        assert torch.equal(*momenta)


def test_what_torchs_muon_has_saved_goes_on_in_ours() -> None:
    weight = nn.Parameter(torch.eye(4))
    theirs = torch.optim.Muon([weight], lr=0.1)
    weight.grad = torch.randn(4, 4)
    theirs.step()
    ours = muon.BatchedMuon([weight], lr=0.3)
    ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0]["lr"] == 0.1
    buffers = [o.state[weight]["momentum_buffer"] for o in (ours, theirs)]
    assert torch.equal(*buffers)


@pytest.mark.parametrize("scale", [0.5, 20.0])
def test_gradients_are_clipped_to_one_global_norm(scale: float) -> None:
    # Plain SGD would show the clipped gradient; Adam's first moment, (1 - beta1) * g, shows it too.
    model = tiny()
    optimizers = make_optimizers(roles_of(model), OptimConfig(grad_clip=1.0))
    fill_gradients(model, seed=1)
    raw = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad *= scale / raw.norm()
    assert optimizers.step(1.0) == pytest.approx(scale, rel=1e-5)
    state = optimizers.parts["adamw"].optimizer.state
    observed = torch.cat([state[p]["exp_avg"].flatten() for p in model.parameters()]) / (1 - 0.9)
    assert float(observed.norm()) == pytest.approx(min(scale, 1.0), rel=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("config", [MUON, ADAMW])
def test_a_gradient_that_is_not_finite_changes_nothing(config: OptimConfig, bad: float) -> None:
    model, twin = tiny(), tiny()
    optimizers, twins = (
        make_optimizers(roles_of(model), config),
        make_optimizers(roles_of(twin), config),
    )
    train(model, optimizers, range(2))
    train(twin, twins, range(2))
    fill_gradients(model, seed=9)
    model.model.norm.weight.grad[3] = bad
    assert not math.isfinite(optimizers.step(1.0))
    assert all(parameter.grad is None for parameter in model.parameters())
    train(model, optimizers, range(2, 4))
    train(twin, twins, range(2, 4))
    assert all(map(torch.equal, weights(model), weights(twin)))


@pytest.mark.parametrize("config", [MUON, ADAMW])
def test_resuming_changes_no_bit(config: OptimConfig) -> None:
    whole = tiny()
    optimizers = make_optimizers(roles_of(whole), config)
    train(whole, optimizers, range(3))
    file = io.BytesIO()
    torch.save({"model": whole.state_dict(), "optim": optimizers.state_dict()}, file)
    train(whole, optimizers, range(3, 6))

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = tiny()
    resumed.load_state_dict(saved["model"])
    again = make_optimizers(roles_of(resumed), config)
    again.load_state_dict(saved["optim"])
    train(resumed, again, range(3, 6))
    assert all(map(torch.equal, weights(whole), weights(resumed)))


def test_without_its_state_a_resume_differs() -> None:
    whole, fresh = tiny(), tiny()
    optimizers = make_optimizers(roles_of(whole), MUON)
    train(whole, optimizers, range(3))
    fresh.load_state_dict(whole.state_dict())
    train(whole, optimizers, range(3, 4))
    train(fresh, make_optimizers(roles_of(fresh), MUON), range(3, 4))
    assert not all(map(torch.equal, weights(whole), weights(fresh)))


def test_state_of_other_optimizers_is_refused() -> None:
    model = tiny()
    state = make_optimizers(roles_of(model), ADAMW).state_dict()
    with pytest.raises(CheckpointError, match="resume with the recipe"):
        make_optimizers(roles_of(model), MUON).load_state_dict(state)
    with pytest.raises(CheckpointError, match="does not fit"):
        make_optimizers(roles_of(nn.Sequential()), ADAMW).load_state_dict(state)
