"""The load of experts, counted by hand, and a bias that balances it and nothing else."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3MoeConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from r1kit.config import OptimConfig
from r1kit.model import causal_lm, checkpoint
from r1kit.model.logprobs import token_logprobs
from r1kit.model.ranks import Ranks
from r1kit.model.roles import routers_of
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.train.cross_entropy import cross_entropy
from r1kit.train.optim import make_optimizers
from r1kit.train.pretrain import document
from r1kit.train.routing import ExpertLoads
from r1kit.train.train_loop import train_loop
from r1kit.types import Checkpoint
from tests.conftest import SHAPE, policy_of, tiny_model

IDS = torch.randint(0, 256, (60,), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(60) > 0


class Router(nn.Module):
    """Chooses the experts it is given, as transformers' routers return them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 2))
        self.e_score_correction_bias = nn.Buffer(torch.zeros(4))

    def forward(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return torch.zeros(len(chosen), 4), torch.ones(chosen.shape), chosen


class Mixture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts, self.gate = nn.Identity(), Router()


def test_load_violation_and_bias_by_hand() -> None:
    model: Any = nn.ModuleList([Mixture(), Mixture()])
    first, second = (mixture.gate for mixture in model)
    with ExpertLoads(model) as loads:
        first(torch.tensor([[0, 1], [0, 2], [0, 1]]))  # loads 3, 2, 1, 0: mean 1.5
        first(torch.tensor([[2, 3]]))  # 3, 2, 2, 1: mean 2
        second(torch.tensor([[0, 1], [2, 3]]))  # balanced
        with torch.no_grad():
            second(torch.tensor([[0, 0]]))  # sampling and references do not count
        metrics = loads.finish_update(Ranks(), 0.25)
        assert metrics == {"router/max_violation/mean": 0.25, "router/max_violation/max": 0.5}
        assert first.e_score_correction_bias.tolist() == [-0.25, 0.0, 0.0, 0.25]
        assert second.e_score_correction_bias.tolist() == [0.0] * 4
        assert loads.finish_update(Ranks(), 0.25) == {}, "the count starts anew"
        first(torch.tensor([[0, 1]]))
        loads.finish_update(Ranks(), 0.25, grad_norm=float("nan"))
        assert first.e_score_correction_bias.tolist() == [-0.25, 0.0, 0.0, 0.25]
    first(torch.tensor([[0, 1]]))
    assert loads.finish_update(Ranks(), 0.25) == {}, "the hooks are gone"


class TwoRanks(Ranks):
    """This rank, and another one whose first layer chose only expert 3."""

    def gather(self, item: Any) -> list[Any]:
        return [item, [[0.0, 0.0, 0.0, 9.0], [1.0, 1.0, 1.0, 1.0]]]


def test_the_load_is_that_of_all_ranks() -> None:
    model: Any = nn.ModuleList([Mixture(), Mixture()])
    with ExpertLoads(model) as loads:
        model[0].gate(torch.tensor([[0, 1], [0, 2]]))  # 2, 1, 1, 0, and 0, 0, 0, 9 elsewhere
        metrics = loads.finish_update(TwoRanks(), 0.5)
    assert metrics["router/max_violation/max"] == pytest.approx(9 / 3.25 - 1)
    assert metrics["router/max_violation/mean"] == pytest.approx((9 / 3.25 - 1) / 2)
    assert model[0].gate.e_score_correction_bias.tolist() == [0.5, 0.5, 0.5, -0.5]


def test_a_dense_model_has_no_load(model: PreTrainedModel) -> None:
    with ExpertLoads(model) as loads:
        token_logprobs(model, IDS, [60], MASK)
        assert loads.finish_update(Ranks(), 0.1) == {}


def test_the_load_of_a_mixture_without_biases_is_measured() -> None:
    config = Qwen3MoeConfig(
        **SHAPE, num_key_value_heads=2, num_experts=4, num_experts_per_tok=1,
        moe_intermediate_size=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    chosen: list[torch.Tensor] = []
    routers = routers_of(model)
    for router in routers:
        router.register_forward_hook(lambda module, inputs, output: chosen.append(output[-1]))
    with ExpertLoads(model) as loads:
        model(IDS[None])
        metrics = loads.finish_update(Ranks(), 0.1)
    expected = [float(torch.bincount(choice.flatten()).max()) / 15 - 1 for choice in chosen]
    assert len(expected) == len(routers) == 2
    assert metrics["router/max_violation/max"] == pytest.approx(max(expected))


def test_the_bias_chooses_experts_and_does_not_weigh_them() -> None:
    model = tiny_model("deepseek_v3")
    [router] = routers_of(model)
    states = torch.randn(20, 32, generator=torch.Generator().manual_seed(2))
    router.n_group = router.num_group = router.topk_group = 1
    router.e_score_correction_bias[5] = 10.0
    _, gates, chosen = router(states)
    assert (chosen == 5).any(-1).all()
    scores = (states @ router.weight.T).sigmoid().gather(1, chosen)
    expected = scores / scores.sum(-1, keepdim=True) * router.routed_scaling_factor
    torch.testing.assert_close(gates, expected)


@pytest.mark.parametrize(("rate", "lowest", "highest"), [(0.0, 1.2, 2.0), (0.01, 0.0, 0.6)])
def test_only_the_bias_keeps_the_load_balanced(rate: float, lowest: float, highest: float) -> None:
    """The router is frozen, while the layers before it learn."""
    model = tiny_model("deepseek_v3")
    [router] = routers_of(model)
    router.num_group = router.topk_group = 1
    router.weight.requires_grad_(False)
    violations = _pretrained(model, 60, rate)
    assert lowest < sum(violations[-10:]) / 10 < highest


def test_a_resumed_mixture_goes_on_bit_equally(
    byte_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    whole, cut = (causal_lm.prepare(tiny_model("deepseek_v3"), "it") for _ in range(2))
    _pretrained(whole, 6, 0.01)
    optimizers = _optimizers(cut)
    _pretrained(cut, 6, 0.01, optimizers, last=3)
    manifest = Checkpoint("", "base", 3, None, None, tokenizer_hash(byte_tokenizer), "")
    state = {"optimizers": optimizers.state_dict()}
    checkpoint.save(tmp_path / "base-000003", cut, byte_tokenizer, manifest, state)
    resumed, _ = checkpoint.load(tmp_path / "base-000003")
    again = _optimizers(resumed)
    again.load_state_dict(checkpoint.load_state(tmp_path / "base-000003")["optimizers"])  # type: ignore[index]
    _pretrained(resumed, 6, 0.01, again, first=3)
    assert any(whole.model.layers[1].mlp.gate.e_score_correction_bias)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def _optimizers(model: PreTrainedModel) -> Any:
    return make_optimizers(policy_of(model).trainable(), OptimConfig(optimizer="muon", lr=1e-3))


def _pretrained(
    model: PreTrainedModel, n: int, rate: float, optimizers: Any = None, first: int = 0,
    last: int | None = None,
) -> list[float]:  # fmt: skip
    """Train on random documents; return the violation of every step."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.randint(0, 256, (n, 4, 40), generator=generator).tolist()
    steps = [[document(row) for row in step] for step in rows]
    violations: list[float] = []
    train_loop(
        cross_entropy,
        policy_of(model),
        optimizers or _optimizers(model),
        steps[:last],
        OptimConfig(optimizer="muon", lr=1e-3),
        Ranks(),
        first_step=first,
        micro_batch_tokens=512,
        after_step=lambda step, metrics: violations.append(metrics["router/max_violation/max"]),
        router_bias_update_rate=rate,
    )
    return violations
