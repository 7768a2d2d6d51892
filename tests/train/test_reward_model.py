"""Reward models: losses and gradients by hand, one rank as two, and that they learn."""

import copy
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from r1kit.config import ComputeConfig, ModelConfig, OptimConfig
from r1kit.model import causal_lm, parallel, scorer
from r1kit.model.policy import TrainableModel
from r1kit.model.ranks import Ranks
from r1kit.model.roles import roles_of
from r1kit.train.master_weights import MasterWeights
from r1kit.train.optim import Optimizers, make_optimizers
from r1kit.train.reward_model import (
    Example,
    LabelledCompletion,
    PreferencePair,
    measure,
    pairwise_loss,
    pointwise_loss,
    preference_loss,
)
from r1kit.train.train_loop import train_loop
from tests.conftest import make_byte_tokenizer

VOCAB, EOS = 24, 1
Make = Callable[..., list[Example]]
CPU = ComputeConfig(device="cpu")


def new_scorer(folder: Path, seed: int = 0) -> PreTrainedModel:
    shape = ModelConfig(n_layers=2, hidden=32, intermediate=48, n_heads=2, n_kv_heads=2)
    causal_lm.build(shape, VOCAB, eos_id=EOS, pad_id=0, bos_id=2, seed=seed).save_pretrained(folder)
    model = scorer.from_policy(folder, "cpu")
    torch.nn.init.normal_(model.score.weight, generator=torch.Generator().manual_seed(seed))
    return model


def ids(rng: random.Random, *last: int) -> list[int]:
    return [rng.randrange(3, VOCAB) for _ in range(rng.randint(1, 6))] + list(last)


def pairs(n: int, seed: int = 0) -> list[Example]:
    """Completions that end in 3 are better than those that end in 4."""
    rng = random.Random(seed)
    return [PreferencePair(ids(rng, 3, EOS), ids(rng, 4, EOS)) for _ in range(n)]


def labelled(n: int, seed: int = 0) -> list[Example]:
    rng = random.Random(seed)
    return [LabelledCompletion(ids(rng, 3 if i % 2 else 4, EOS), bool(i % 2)) for i in range(n)]


def trainable_model(module: PreTrainedModel) -> TrainableModel:
    return TrainableModel(module, make_byte_tokenizer())


def trained(
    model: PreTrainedModel,
    steps: Sequence[Sequence[Example]],
    config: OptimConfig,
    ranks: Ranks | None = None,
    *,
    first_step: int = 0,
    micro: int = 64,
    optimizers: "Optimizers | Capture | None" = None,
) -> list[tuple[int, dict[str, float]]]:
    observed: list[tuple[int, dict[str, float]]] = []
    train_loop(
        preference_loss,
        trainable_model(model),
        optimizers or make_optimizers(roles_of(model), config),  # type: ignore[arg-type]  # a Capture
        steps,
        config,
        ranks or Ranks(),
        first_step=first_step,
        micro_batch_tokens=micro,
        after_step=lambda step, metrics: observed.append((step, metrics)),
    )
    return observed


class Capture:
    """Keeps the gradients instead of using them."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.grads: dict[str, torch.Tensor] = {}
        self.weights = MasterWeights(model.parameters())

    def step(self, scale: float) -> float:
        self.grads = {name: p.grad.clone() for name, p in self.model.named_parameters()}
        self.model.zero_grad()
        return 0.0


def gradients(
    model: PreTrainedModel, examples: Sequence[Example], micro: int = 64
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    capture = Capture(model)
    [(_, metrics)] = trained(model, [examples], OptimConfig(), micro=micro, optimizers=capture)
    return capture.grads, metrics


def test_losses_by_hand() -> None:
    chosen, rejected = torch.tensor([0.0, 2.0, -1.0, 90.0]), torch.tensor([0.0, 1.0, 1.0, -90.0])
    expected = [math.log(2), math.log(1 + math.exp(-1)), math.log(1 + math.exp(2)), 0.0]
    assert pairwise_loss(chosen, rejected).tolist() == pytest.approx(expected, abs=1e-6)
    assert pairwise_loss(rejected, chosen)[3].item() == pytest.approx(180.0)
    scores, safe = torch.tensor([0.0, 2.0, 2.0, -300.0]), torch.tensor([True, True, False, True])
    expected = [math.log(2), math.log(1 + math.exp(-2)), math.log(1 + math.exp(2)), 300.0]
    assert pointwise_loss(scores, safe).tolist() == pytest.approx(expected, abs=1e-6)


def test_gradients_of_the_losses_by_hand() -> None:
    chosen = torch.tensor([0.5, 2.0], requires_grad=True)
    rejected = torch.tensor([1.5, -1.0], requires_grad=True)
    pairwise_loss(chosen, rejected).sum().backward()
    expected = [-1 / (1 + math.exp(-1)), -1 / (1 + math.exp(3))]  # -sigmoid(rejected - chosen)
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.tolist() == pytest.approx(expected)
    assert rejected.grad.tolist() == pytest.approx([-g for g in expected])
    scores = torch.tensor([0.7, 0.7], requires_grad=True)
    pointwise_loss(scores, torch.tensor([True, False])).sum().backward()
    sigmoid = 1 / (1 + math.exp(-0.7))
    assert scores.grad is not None
    assert scores.grad.tolist() == pytest.approx([sigmoid - 1, sigmoid])


@pytest.mark.parametrize("make", [pairs, labelled])
def test_the_gradient_of_a_step_is_that_of_the_mean_whatever_the_micro_batch(
    tmp_path: Path, make: Make
) -> None:
    model, examples = new_scorer(tmp_path), make(7)
    expected = copy.deepcopy(model)

    def score(token_ids: list[int]) -> torch.Tensor:
        logit: torch.Tensor = expected(torch.tensor([token_ids])).logits[0, 0]
        return logit

    def loss_of(e: Example) -> torch.Tensor:
        if isinstance(e, PreferencePair):
            return -(score(e.chosen_ids) - score(e.rejected_ids)).sigmoid().log()
        return -(score(e.token_ids) * (1 if e.is_safe else -1)).sigmoid().log()

    losses = [loss_of(example) for example in examples]
    loss = sum(losses[1:], losses[0]) / len(losses)
    loss.backward()
    for micro in (1, 20, 1000):
        got, metrics = gradients(model, examples, micro)
        assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
        assert metrics["n_trained_tokens"] == sum(example.n_tokens for example in examples)
        for name, parameter in expected.named_parameters():
            torch.testing.assert_close(got[name], parameter.grad, atol=2e-6, rtol=2e-4)


def test_pairs_and_labels_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not from both"):
        gradients(new_scorer(tmp_path), [*pairs(1), *labelled(1)])


def train_a_little(
    ranks: Ranks, folder: Path
) -> tuple[dict[str, list[float]], list[dict[str, float]], dict[str, float]]:
    """Gradient of one step, then three steps with nothing for the second rank in the last."""
    model = scorer.load(folder, "cpu", torch.float32)
    result = {}
    for make in (pairs, labelled):
        capture = Capture(model)
        trained(model, [ranks.share(make(5))], OptimConfig(), ranks, optimizers=capture)
        result[make.__name__] = torch.cat([g.flatten() for g in capture.grads.values()]).tolist()
    config = OptimConfig(lr=1e-3)
    steps = [ranks.share(pairs(6, 1)), ranks.share(pairs(3, 2)), ranks.share(pairs(1, 3))]
    observed = trained(model, steps, config, ranks)
    metrics = [
        {key: value for key, value in of_step.items() if "time" not in key}
        for _, of_step in observed
    ]
    held_out = measure(model, ranks.share(pairs(21, 9)), ranks, 64)
    return result, metrics, held_out


@pytest.mark.usefixtures("forked_ranks")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    new_scorer(tmp_path / "p").save_pretrained(tmp_path / "c")
    item, one_metrics, one_held_out = parallel.launch(1, CPU, train_a_little, tmp_path / "c")
    two, two_metrics, two_held_out = parallel.launch(2, CPU, train_a_little, tmp_path / "c")
    for name in item:
        torch.testing.assert_close(
            torch.tensor(two[name]), torch.tensor(item[name]), atol=1e-6, rtol=1e-4
        )
    for ours, theirs in zip(one_metrics, two_metrics, strict=True):
        assert theirs == pytest.approx(ours, rel=1e-4, abs=1e-6)
    assert one_held_out == two_held_out


@pytest.mark.parametrize("make", [pairs, labelled])
def test_an_easy_distinction_is_learned(tmp_path: Path, make: Make) -> None:
    model, config = new_scorer(tmp_path), OptimConfig(lr=1e-2)
    observed = trained(model, [make(32, seed) for seed in range(20)], config, micro=1024)
    assert observed[-1][1]["loss"] < 0.1 < observed[0][1]["loss"]
    assert observed[-1][1]["accuracy"] > 0.95
    measured = measure(model, make(200, 77), Ranks(), 1024)
    assert measured["accuracy"] > 0.95
    assert measured["n"] == 200
    share = measured["accuracy"]
    assert measured["stderr"] == pytest.approx(math.sqrt(share * (1 - share) / 200))
    assert not model.training


def test_no_opinion_is_not_right(tmp_path: Path) -> None:
    model = new_scorer(tmp_path)
    torch.nn.init.zeros_(model.score.weight)
    _, metrics = gradients(model, pairs(4))
    assert metrics["accuracy"] == 0.0
    assert metrics["loss"] == pytest.approx(math.log(2))
    assert gradients(model, labelled(4))[1]["accuracy"] == 0.5


def test_a_resumed_training_ends_as_one_that_was_not_cut(tmp_path: Path) -> None:
    config = OptimConfig(lr=1e-3, schedule="cosine", warmup_steps=2)
    steps = [pairs(8, seed) for seed in range(6)]
    whole = new_scorer(tmp_path)
    cut = copy.deepcopy(whole)
    all_metrics = trained(whole, steps, config)
    optimizers = make_optimizers(roles_of(cut), config)
    remaining: dict[str, Any] = {}

    def after_step(step: int, metrics: dict[str, float]) -> None:
        if step == 4:
            remaining["weights"] = copy.deepcopy(cut.state_dict())
            remaining["optimizers"] = copy.deepcopy(optimizers.state_dict())

    train_loop(
        preference_loss,
        trainable_model(cut),
        optimizers,
        steps,
        config,
        Ranks(),
        first_step=0,
        micro_batch_tokens=64,
        after_step=after_step,
    )
    resumed = new_scorer(tmp_path, seed=5)
    resumed.load_state_dict(remaining["weights"])
    again = make_optimizers(roles_of(resumed), config)
    again.load_state_dict(remaining["optimizers"])
    metrics = trained(resumed, steps, config, first_step=4, optimizers=again)
    assert [step for step, _ in metrics] == [5, 6]
    assert metrics[-1][1]["loss"] == all_metrics[-1][1]["loss"]
    for ours, theirs in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)
