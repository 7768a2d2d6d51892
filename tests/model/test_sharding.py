"""Sharded ranks learn what one process learns: SFT, RL, reward models, adapters, accumulation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from r1kit.config import ComputeConfig, LoraConfig, OptimConfig, RLConfig
from r1kit.errors import ComputeError, ConfigError
from r1kit.model import attention, devices, scorer, sharded_checkpoint, sharding
from r1kit.model.policy import Policy, TrainableModel
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.train import muon
from r1kit.train.cross_entropy import cross_entropy
from r1kit.train.optim import Optimizers, make_optimizers
from r1kit.train.reward_model import (
    Example,
    LabelledCompletion,
    PreferencePair,
    measure,
    preference_loss,
)
from r1kit.train.rl import Learner, MetricAccumulator, update
from r1kit.train.train_loop import train_loop
from r1kit.types import Checkpoint, Trajectory
from tests.conftest import ARCHITECTURES, make_byte_tokenizer, policy_of, tiny_model
from tests.ranks import on_ranks

N_STEPS = 4
Outcome = tuple[list[dict[str, float]], Tensor]
"""metrics of each step, and all trained weights"""


def tokens(seed: int, n: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 250, (n,), generator=generator).tolist()


def compute(degree: int) -> ComputeConfig:
    return ComputeConfig(device="cpu", data_parallel_shard_degree=degree)


def prepare(model: TrainableModel, ranks: Ranks, lora: bool, checkpointing: bool) -> None:
    if lora:
        model.add_adapter(LoraConfig(r=4), "seed")
    if checkpointing:
        model.checkpoint_gradients()
    model.shard(sharding.mesh_of(ranks))


def weights_of(model: TrainableModel) -> Tensor:
    return torch.cat([sharding.whole(p.detach()).flatten() for p in model.trainable()])


def fine_tune(
    ranks: Ranks, name: str, lora: bool = False, checkpointing: bool = False,
    optimizer: str = "adamw", dtype: str = "float32",
) -> Outcome:  # fmt: skip
    """Four updates in micro-batches; in the last one only the first rank has work."""
    model = policy_of(tiny_model(name).to(getattr(torch, dtype)))
    prepare(model, ranks, lora, checkpointing)
    examples = [
        Trajectory(tokens(i, 6 + 5 * i % 17), [0, 0] + [1] * (4 + 5 * i % 17), source=str(i))
        for i in range(19)
    ]
    batches = [examples[:6], examples[6:12], examples[12:18], examples[18:]]
    config = OptimConfig.model_validate({"lr": 1e-3, "optimizer": optimizer, "weight_decay": 0.1})
    steps: list[dict[str, float]] = []
    with pytest.MonkeyPatch.context() as patch:
        # Muon in bfloat16 raises the rounding of a gradient to 2e-3 of a weight.
        patch.setattr(muon, "_product_dtype", lambda device: torch.float32)
        train_loop(
            cross_entropy, model, make_optimizers(model.trainable(), config),
            [ranks.share(batch) for batch in batches], config, ranks, first_step=0,
            micro_batch_tokens=24, after_step=lambda step, metrics: steps.append(metrics),
        )  # fmt: skip
    return steps, weights_of(model)


def reinforce(ranks: Ranks, name: str, lora: bool = False) -> Outcome:
    """Updates with a KL term; the reference is replaced once, and the last update has no work."""
    model = policy_of(tiny_model(name))
    prepare(model, ranks, lora, checkpointing=False)
    config = RLConfig.model_validate({"beta": 0.1, "max_tokens": 30, "optim": {"lr": 1e-3}})
    learner = Learner(model, make_optimizers(model.trainable(), config.optim), config, ranks, 40)
    steps = []
    for step in range(N_STEPS):
        trajectories = [
            Trajectory(
                tokens(100 * step + i, n := 5 + 3 * i), [0, 0] + [1] * (n - 2), 0.5 - i % 2,
                [0.0, 0.0] + [-5.0] * (n - 2), source=str(i),
            )
            for i in range(0 if step == N_STEPS - 1 else 5)
        ]  # fmt: skip
        totals = MetricAccumulator()
        model.module.train()
        update(learner, ranks.share(trajectories), 1.0, totals, is_first=True)
        model.module.eval()
        steps.append(totals.metrics(ranks))
        if step == 1:
            model.refresh_reference()
    return steps, weights_of(model)


def new_judge(name: str) -> TrainableModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ARCHITECTURES[name]()
        config.num_labels = 1
        module = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    module.set_attn_implementation(attention.NAME)
    return TrainableModel(module.eval(), make_byte_tokenizer())


def judge(ranks: Ranks, name: str, lora: bool = False, is_pairwise: bool = True) -> Outcome:
    """A reward model; three examples in a step, so that the ranks differ in their number."""
    model = new_judge(name)
    prepare(model, ranks, lora, checkpointing=False)
    examples: list[Example] = [
        PreferencePair(tokens(i, 4 + i), tokens(50 + i, 6))
        if is_pairwise
        else LabelledCompletion(tokens(i, 4 + i), is_safe=i % 2 == 0)
        for i in range(9)
    ]
    optim = OptimConfig(lr=1e-3)
    steps: list[dict[str, float]] = []
    train_loop(
        preference_loss, model, make_optimizers(model.trainable(), optim),
        [ranks.share(examples[i : i + 3]) for i in range(0, 9, 3)], optim, ranks, first_step=0,
        micro_batch_tokens=16, after_step=lambda step, metrics: steps.append(metrics),
    )  # fmt: skip
    held_out = measure(model.module, ranks.share(examples[:5]), ranks, 16)
    return [*steps, held_out], weights_of(model)


def train_on(model: Policy, optimizers: Optimizers, ranks: Ranks, first: int, last: int) -> None:
    examples = [Trajectory(tokens(i, 12), [0, 0] + [1] * 10, source=str(i)) for i in range(16)]
    train_loop(
        cross_entropy, model, optimizers,
        [ranks.share(examples[i : i + 4]) for i in range(0, 4 * last, 4)], OptimConfig(), ranks,
        first_step=first, micro_batch_tokens=24, after_step=lambda step, metrics: None,
    )  # fmt: skip


def save(model: Policy, optimizers: Optimizers, ranks: Ranks, folder: Path) -> None:
    manifest = Checkpoint("", "base", 2, None, None, tokenizer_hash(model.tokenizer), "")
    state = {"optimizers": optimizers.state_dict(), "note": 1.5} | model.reference_state()
    if ranks.is_sharded:
        model.save_parts(folder, manifest, state, "card", ranks)
    elif ranks.is_first:
        model.save(folder, manifest, state, "card")


def train_and_save(
    ranks: Ranks, folder: Path, name: str, optimizer: str, dtype: str
) -> list[Tensor]:
    """Two steps, a checkpoint, and two more steps: the weights saved, and those after them."""
    model = policy_of(tiny_model(name).to(getattr(torch, dtype)))
    prepare(model, ranks, lora=False, checkpointing=False)
    model.refresh_reference()
    optim = OptimConfig.model_validate({"lr": 1e-3, "optimizer": optimizer})
    optimizers = make_optimizers(model.trainable(), optim)
    train_on(model, optimizers, ranks, 0, 2)
    save(model, optimizers, ranks, folder)
    saved = weights_of(model)
    train_on(model, optimizers, ranks, 2, 4)
    return [saved, weights_of(model)]


def resume(ranks: Ranks, folder: Path, optimizer: str, dtype: str) -> list[Tensor]:
    """The weights as loaded, after the last two steps, and those of the reference."""
    model = Policy.load(folder, "cpu", getattr(torch, dtype))
    mesh = sharding.mesh_of(ranks)
    model.shard(mesh)
    model.refresh_reference()
    optim = OptimConfig.model_validate({"lr": 1e-3, "optimizer": optimizer})
    optimizers = make_optimizers(model.trainable(), optim)
    state = sharded_checkpoint.load_state(folder, mesh)
    assert state is not None
    assert state["note"] == 1.5
    optimizers.load_state_dict(state["optimizers"])
    model.load_reference(state)
    loaded = torch.cat([sharding.whole(p.detach()).flatten() for p in optimizers.weights.updated])
    train_on(model, optimizers, ranks, 2, 4)
    reference = model.reference_state()["reference"]
    names = [name for name, _ in model.module.named_parameters()]
    referred = torch.cat([sharding.whole(reference[name]).flatten() for name in names])
    return [loaded, weights_of(model), referred]


EXACT = {"n_trained_tokens", "n_scored_tokens", "n"}
COMPARED = EXACT | {"loss", "grad_norm", "kl", "accuracy", "clip_ratio/region_mean"}


def _untimed(metrics: dict[str, float]) -> set[str]:
    """The metrics besides times; several ranks have some of each rank."""
    return {key for key in metrics if not key.startswith("time/")}


def agree(one: Outcome, several: Outcome, atol: float = 2e-5) -> None:
    """Metrics and weights are equal up to the rounding of sums in another order."""
    for expected, actual in zip(one[0], several[0], strict=True):
        assert _untimed(expected) == _untimed(actual)
        for key in COMPARED & expected.keys():
            tolerance = 0.0 if key in EXACT else 1e-4
            assert actual[key] == pytest.approx(expected[key], rel=tolerance, abs=1e-6), key
    assert not torch.equal(one[1], torch.zeros_like(one[1]))
    torch.testing.assert_close(several[1], one[1], atol=atol, rtol=1e-3)


RUNS: dict[str, Callable[[Ranks], Outcome]] = {
    "sft, tied head": partial(fine_tune, name="qwen2"),
    "sft, adapters": partial(fine_tune, name="llama-gqa", lora=True),
    "sft, layers computed again": partial(fine_tune, name="llama-gqa", checkpointing=True),
    "sft, mixture of experts": partial(fine_tune, name="deepseek_v3"),
    "sft, muon": partial(fine_tune, name="llama-gqa", optimizer="muon"),
    "rl": partial(reinforce, name="qwen2"),
    "rl, adapters": partial(reinforce, name="qwen2", lora=True),
    "pairs": partial(judge, name="qwen2"),
    "labels": partial(judge, name="llama-gqa", is_pairwise=False),
    "pairs, adapters": partial(judge, name="qwen2", lora=True),
}


def every_run(ranks: Ranks) -> dict[str, Outcome]:
    return {name: run(ranks) for name, run in RUNS.items()}


@pytest.fixture(scope="module")
def alone() -> dict[str, Outcome]:
    return every_run(Ranks())


def test_sharded_ranks_learn_what_one_process_learns(alone: dict[str, Outcome]) -> None:
    several = on_ranks(2, 2, every_run)
    for name, expected in alone.items():
        agree(expected, several[name])


def some_runs(ranks: Ranks) -> dict[str, Outcome]:
    return {name: RUNS[name](ranks) for name in ("sft, tied head", "rl")}


@pytest.mark.parametrize("degree", [4, 2])
def test_four_ranks_with_four_shards_or_two_copies(degree: int, alone: dict[str, Outcome]) -> None:
    several = on_ranks(4, degree, some_runs)
    for name, outcome in several.items():
        agree(alone[name], outcome)


@pytest.mark.parametrize(
    ("name", "optimizer", "dtype"),
    [
        ("qwen2", "adamw", "float32"),
        ("llama-gqa", "muon", "bfloat16"),
        ("deepseek_v3", "adamw", "float32"),
    ],
)
def test_saved_on_two_ranks_and_resumed_on_any_number(
    name: str, optimizer: str, dtype: str, tmp_path: Path
) -> None:
    folder, how = tmp_path / "base-2", (optimizer, dtype)
    saved, ended = on_ranks(2, 2, train_and_save, folder, name, *how)
    resumed = [
        resume(Ranks(), folder, *how),
        on_ranks(2, 2, resume, folder, *how),
        on_ranks(4, 4, resume, folder, *how),
    ]
    stored = Policy.load(folder, "cpu").module.state_dict()
    kept = policy_of(tiny_model(name)).module
    assert stored.keys() == kept.state_dict().keys()
    rounded = torch.cat([stored[name].flatten() for name, _ in kept.named_parameters()])
    assert torch.equal(rounded, saved.to(getattr(torch, dtype)).float())
    for loaded, last, reference in resumed:
        assert torch.equal(loaded, saved)
        assert torch.equal(reference, resumed[0][2])
        if dtype == "float32":
            torch.testing.assert_close(last, ended, atol=2e-5, rtol=1e-3)


def test_saved_whole_and_resumed_on_two_ranks(tmp_path: Path) -> None:
    folder, how = tmp_path / "base-2", ("adamw", "float32")
    saved, ended = train_and_save(Ranks(), folder, "qwen2", *how)
    loaded, last, _ = on_ranks(2, 2, resume, folder, *how)
    assert torch.equal(loaded, saved)
    torch.testing.assert_close(last, ended, atol=2e-5, rtol=1e-3)


def save_adapted(ranks: Ranks, folder: Path) -> Tensor:
    """Save a model with adapters, and return the logits of the policy that the sampler gets."""
    model = policy_of(tiny_model("qwen2"))
    prepare(model, ranks, lora=True, checkpointing=False)
    optimizers = make_optimizers(model.trainable(), OptimConfig(lr=1e-2))
    train_on(model, optimizers, ranks, 0, 2)
    save(model, optimizers, ranks, folder)
    train_on(model, optimizers, ranks, 2, 3)
    before = model.gathered()
    train_on(model, optimizers, ranks, 3, 4)
    gathered = model.gathered()
    assert gathered.module is before.module
    assert not sharding.is_sharded(gathered.module)
    logits: Tensor = gathered.module(input_ids=torch.arange(20)[None]).logits.detach()
    return logits


def test_adapters_are_saved_merged_and_sampled_as_they_are(tmp_path: Path) -> None:
    expected = save_adapted(Ranks(), tmp_path / "one" / "base-2")
    logits = on_ranks(2, 2, save_adapted, tmp_path / "two" / "base-2")
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    one, two = (Policy.load(tmp_path / n / "base-2", "cpu").module for n in ("one", "two"))
    for weight, other in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(other, weight, atol=2e-5, rtol=1e-3)


def eight_bit(ranks: Ranks) -> str:
    model = policy_of(tiny_model("qwen2"))
    prepare(model, ranks, lora=False, checkpointing=False)
    with pytest.raises(ConfigError) as raised:
        make_optimizers(model.trainable(), OptimConfig(optimizer="adamw8bit"))
    return str(raised.value)


def test_optimizer_state_of_eight_bits_is_refused() -> None:
    assert "has no sharded state; set it to" in on_ranks(2, 2, eight_bit)


def test_a_degree_must_divide_the_processes() -> None:
    assert devices.shard_degree(compute(-1), 6) == 6
    assert devices.shard_degree(compute(3), 6) == 3
    with pytest.raises(ComputeError, match="is 4, which does not divide the 6 processes"):
        devices.shard_degree(compute(4), 6)


def save_judge(ranks: Ranks, folder: Path) -> Tensor:
    """The head of a scorer has one row, so that only the first rank has a part of it."""
    model = new_judge("qwen2")
    prepare(model, ranks, lora=False, checkpointing=False)
    optimizers = make_optimizers(model.trainable(), OptimConfig(lr=1e-3))
    manifest = Checkpoint("", "preference/helpful", 1, None, None, "", "")
    model.save_parts(folder, manifest, {"optimizers": optimizers.state_dict()}, "card", ranks)
    return weights_of(model)


def test_a_reward_model_is_saved_in_parts(tmp_path: Path) -> None:
    saved = on_ranks(2, 2, save_judge, tmp_path / "helpful-1")
    module = scorer.load(tmp_path / "helpful-1", "cpu", torch.float32)
    assert torch.equal(torch.cat([p.detach().flatten() for p in module.parameters()]), saved)
    assert sharded_checkpoint.load_state(tmp_path / "helpful-1", None) is not None
