"""The RL loop: what one step does to a real tiny policy."""

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from r1kit.config import ModelConfig, RLConfig, RLOptimConfig
from r1kit.config.rl import LossType
from r1kit.model import causal_lm
from r1kit.model.logprobs import token_logprobs
from r1kit.model.ranks import Ranks
from r1kit.rollouts.trajectories import group_trajectories
from r1kit.train import rl
from r1kit.train.advantage import group_advantages
from r1kit.train.loss import LOSSES
from r1kit.train.mismatch import Correction
from r1kit.train.optim import Optimizers, make_optimizers
from r1kit.train.rl import MetricAccumulator
from r1kit.types import (
    Completion,
    FinishReason,
    Group,
    Message,
    ParsedCompletion,
    Problem,
    Reward,
    Rollout,
    Trajectory,
    Verdict,
)
from tests.conftest import policy_of

VOCAB, EOS, MAX_TOKENS = 24, 1, 8
Groups = Sequence[tuple[int, Group]]
PROBLEM = Problem("p", "t", (Message("user", "?"),), "1", "en")


@pytest.fixture
def model() -> PreTrainedModel:
    shape = ModelConfig(n_layers=2, hidden=32, intermediate=48, n_heads=2, n_kv_heads=2)
    return causal_lm.build(shape, VOCAB, eos_id=EOS, pad_id=0, bos_id=2, seed=3)


def sampled_groups(
    model: PreTrainedModel,
    rewards: Sequence[Sequence[float]],
    seed: int = 0,
    temperature: float = 1.0,
) -> Groups:
    """Groups of random completions with the log-probabilities the policy gives them."""
    generator = torch.Generator().manual_seed(seed)
    groups = []
    for index, group_rewards in enumerate(rewards):
        prompt = torch.randint(3, VOCAB, (2 + index,), generator=generator).tolist()
        rollouts = []
        for i, reward in enumerate(group_rewards):
            length = 1 + (index + 2 * i) % MAX_TOKENS
            ids = torch.randint(3, VOCAB, (length,), generator=generator).tolist()
            rollouts.append(rollout(model, prompt, ids, reward, temperature))
        groups.append((index, Group(PROBLEM, rollouts)))
    return groups


def rollout(
    model: PreTrainedModel,
    prompt: list[int],
    ids: list[int],
    reward: float,
    temperature: float = 1.0,
) -> Rollout:
    mask = torch.tensor([False] * len(prompt) + [True] * len(ids))
    with torch.no_grad():
        logprobs = token_logprobs(
            model, torch.tensor(prompt + ids), [len(mask)], mask, temperature=temperature
        )
    finish: FinishReason = "length" if len(ids) == MAX_TOKENS else "stop"
    return Rollout(
        PROBLEM,
        prompt,
        Completion(ids, logprobs.tolist(), "", finish, 0),
        ParsedCompletion(None, "", False),
        Verdict(bool(reward), None, ""),
        Reward(reward, {"accuracy": reward}),
    )


def learner(
    model: PreTrainedModel, micro_batch_tokens: int = 1024, **settings: object
) -> rl.Learner:
    config, policy = RLConfig(max_tokens=MAX_TOKENS, **settings), policy_of(model)
    optimizers = make_optimizers(policy.trainable(), config.optim)
    return rl.Learner(policy, optimizers, config, Ranks(), micro_batch_tokens)


def step_of(
    groups: Groups, config: RLConfig, cursor: int | None = None, metrics: rl.Metrics | None = None
) -> rl.Step:
    made = [(index, group_trajectories(group, config)) for index, group in groups]
    return rl.Step(made, len(made), len(made) if cursor is None else cursor, metrics or {})


def learn(rl_learner: rl.Learner, groups: Groups) -> rl.Metrics:
    return rl.learn(rl_learner, step_of(groups, rl_learner.config), 1.0)


def gradients(
    model: PreTrainedModel, groups: Groups, **config: Any
) -> tuple[dict[str, torch.Tensor], rl.Metrics]:
    """The gradient the first update of a step applies."""
    model = copy.deepcopy(model)
    rl_learner = learner(model, **config)
    remaining: dict[str, torch.Tensor] = {}

    class Capture(Optimizers):
        def step(self, lr_scale: float) -> float:
            remaining.update({n: p.grad.clone() for n, p in model.named_parameters()})
            model.zero_grad()
            return 0.0

    rl_learner.optimizers = Capture({}, 0.0, rl_learner.optimizers.weights)
    metrics = learn(rl_learner, groups)
    return remaining, metrics


MIXED = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_first_update_is_the_plain_policy_gradient(
    model: PreTrainedModel, loss: LossType, temperature: float
) -> None:
    """With ratio 1 every variant is  -sum_t weight * advantage * grad log p."""
    groups = sampled_groups(model, MIXED, temperature=temperature)
    got, metrics = gradients(model, groups, loss_type=loss, temperature=temperature)
    rows = [r for _, group in groups for r in group.rollouts]
    lengths = [len(r.completion.token_ids) for r in rows]
    advantages = [
        a
        for _, group in groups
        for a in group_advantages(
            [r.reward.total for r in group.rollouts], LOSSES[loss].scale_rewards
        )
    ]
    weights = LOSSES[loss].aggregation(lengths, MAX_TOKENS)
    expected = copy.deepcopy(model)
    total = torch.zeros(())
    for row, advantage, weight in zip(rows, advantages, weights, strict=True):
        ids = torch.tensor([row.prompt_ids + row.completion.token_ids])
        logits = expected(input_ids=ids).logits[0] / temperature
        logp = logits.log_softmax(-1)[:-1].gather(-1, ids[0, 1:, None])[:, 0]
        total = total - weight * advantage * logp[len(row.prompt_ids) - 1 :].sum()
    total.backward()
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad, atol=2e-6, rtol=2e-4)
    assert metrics["sampling/sampling_logp_difference/max"] < 1e-5
    assert metrics["clip_ratio/region_mean"] == 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_rewards_change_nothing(model: PreTrainedModel, loss: LossType) -> None:
    groups = sampled_groups(model, [[1.0] * 4, [0.1] * 4, [0.0] * 4])
    before = copy.deepcopy(model.state_dict())
    learn(learner(model, loss_type=loss), groups)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_does_not_depend_on_micro_batches_or_order(
    model: PreTrainedModel, loss: LossType
) -> None:
    groups = sampled_groups(model, MIXED)
    whole, _ = gradients(model, groups, loss_type=loss)
    split, _ = gradients(model, groups[::-1], loss_type=loss, micro_batch_tokens=16)
    for name in whole:
        torch.testing.assert_close(whole[name], split[name], atol=1e-6, rtol=1e-4)


def test_skipping_zero_advantages_skips_nothing_that_counts(model: PreTrainedModel) -> None:
    """A KL term of almost nothing forces every completion through the model."""
    groups = sampled_groups(model, MIXED)
    skipped, _ = gradients(model, groups, loss_type="dapo")
    everything, _ = gradients(model, groups, loss_type="dapo", beta=1e-12)
    for name in skipped:
        torch.testing.assert_close(skipped[name], everything[name], atol=1e-6, rtol=1e-4)


def test_masked_truncated_rows_are_absent(model: PreTrainedModel) -> None:
    groups = sampled_groups(model, [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
    cut = [
        (index, Group(PROBLEM, [r for r in group.rollouts if r.completion.finish == "stop"]))
        for index, group in groups
    ]
    n_cut = sum(len(g.rollouts) for _, g in groups) - sum(len(g.rollouts) for _, g in cut)
    assert n_cut > 0
    for loss in LOSSES:
        with_mask, _ = gradients(model, groups, loss_type=loss, mask_truncated_completions=True)
        remaining, _ = gradients(model, groups, loss_type=loss, mask_truncated_completions=False)
        assert any(not torch.allclose(with_mask[n], remaining[n]) for n in remaining)


@pytest.mark.parametrize("kl_estimator", ["k3", "unbiased"])
def test_kl_is_zero_at_first_and_pulls_back_later(
    model: PreTrainedModel, kl_estimator: str
) -> None:
    groups = sampled_groups(model, MIXED)
    rl_learner = learner(model, beta=0.5, kl_estimator=kl_estimator, optim=RLOptimConfig(lr=1e-2))
    first = learn(rl_learner, groups)
    assert first["kl"] == pytest.approx(0.0, abs=1e-7)
    later = learn(rl_learner, groups)
    assert later["kl"] > 1e-4
    rl_learner.policy.refresh_reference()
    assert learn(rl_learner, groups)["kl"] == pytest.approx(0.0, abs=1e-7)
    assert list(map(id, rl_learner.policy.trainable())) == list(map(id, model.parameters()))


def test_without_kl_there_is_no_reference(model: PreTrainedModel) -> None:
    rl_learner = learner(model)
    metrics = learn(rl_learner, sampled_groups(model, MIXED))
    assert not rl_learner.policy.has_reference
    assert "kl" not in metrics
    assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("loss", LOSSES)
def test_learning_raises_what_was_rewarded(model: PreTrainedModel, loss: LossType) -> None:
    """Several updates on one rollout phase: rewarded completions become likelier, clips act."""
    groups = sampled_groups(model, [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
    rl_learner = learner(model, loss_type=loss, optim=RLOptimConfig(lr=3e-3))

    def gap() -> float:
        sums: dict[bool | None, float] = {True: 0.0, False: 0.0}
        for _, group in groups:
            for r in group.rollouts:
                again = rollout(model, r.prompt_ids, r.completion.token_ids, 0.0)
                sums[r.verdict.correct] += sum(again.completion.logprobs)
        return sums[True] - sums[False]

    before = gap()
    metrics = [learn(rl_learner, groups) for _ in range(8)]
    assert gap() > before + 0.5
    assert metrics[-1]["clip_ratio/region_mean"] > 0.0


def test_updates_per_step_share_out_the_groups(model: PreTrainedModel) -> None:
    """Two updates see each group once, in order of place, whatever rank they are on."""
    groups = sampled_groups(model, [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    observed: list[list[Trajectory]] = []
    rl_learner = learner(model, updates_per_step=2)
    original = rl.update

    def recorded(
        learner: rl.Learner,
        trajectories: Sequence[Trajectory],
        scale: float,
        totals: MetricAccumulator,
        is_first: bool,
    ) -> None:
        observed.append(list(trajectories))
        original(learner, trajectories, scale, totals, is_first)

    try:
        rl.update = recorded
        learn(rl_learner, groups)
    finally:
        rl.update = original
    [first, second, third, fourth] = [
        group for _, group in step_of(groups, rl_learner.config).groups
    ]
    assert observed == [[*first, *second], [*third, *fourth]]


def test_refreshing_the_reference_is_timed_in_the_steps_that_do(model: PreTrainedModel) -> None:
    rl_learner = learner(model, n_steps=4, beta=0.1, ref_model_sync_steps=2)
    timed: list[int] = []

    def note(state: rl.RLState, metrics: rl.Metrics, step: rl.Step) -> None:
        phases = {key: value for key, value in metrics.items() if re.fullmatch("time/.*_s", key)}
        del phases["time/tokens_per_s"]
        assert all(value > 0 for value in phases.values())
        assert sum(phases.values()) <= metrics["step_time"]
        assert metrics["time/sample_share"] + metrics["time/learn_share"] <= 1
        timed.extend([state.step] * ("time/reference_s" in phases))

    step = step_of(sampled_groups(model, MIXED), rl_learner.config)
    rl.reinforce(
        rl_learner, rl.RLState(), lambda *_: replace(step, metrics={}), lambda _: None, note
    )
    assert timed == [2, 4]


def test_the_flops_of_a_step_are_those_of_what_it_learns_from(model: PreTrainedModel) -> None:
    groups = sampled_groups(model, MIXED)
    step = step_of(groups, RLConfig())
    lengths = [len(t.token_ids) for _, group in step.groups for t in group if t.advantage]
    active, pair = 2 * (4 * 32 * 32 + 3 * 32 * 48 + 64) + 32 + VOCAB * 32, 6 * 2 * 32
    by_hand = sum(6 * active * n + pair * n * n for n in lengths)
    assert learn(learner(model), groups)["n_flops"] == by_hand


def test_the_loss_of_a_step_is_the_mean_over_its_updates(model: PreTrainedModel) -> None:
    groups = sampled_groups(model, [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    settings: dict[str, Any] = {"loss_type": "dapo", "optim": RLOptimConfig(lr=1e-12)}
    alone = [learn(learner(model, **settings), [(0, group)])["loss"] for _, group in groups]
    together = learn(learner(model, updates_per_step=2, **settings), groups)
    assert abs(alone[0] - alone[1]) > 0.01
    assert together["loss"] == pytest.approx(sum(alone) / 2)


def test_reinforce_counts_steps_and_publishes(model: PreTrainedModel) -> None:
    rl_learner = learner(model, n_steps=3, optim=RLOptimConfig(lr=1e-3))
    published: list[int] = []
    steps: list[tuple[int, int, float]] = []

    def collect(step: int, cursor: int) -> rl.Step:
        groups = sampled_groups(model, MIXED, seed=step)
        return step_of(
            groups, rl_learner.config, cursor=cursor + 3, metrics={"reward": float(step)}
        )

    state = rl.RLState(step=1, cursor=3)
    rl.reinforce(
        rl_learner,
        state,
        collect,
        published.append,
        lambda state, metrics, step: steps.append((state.step, state.cursor, metrics["reward"])),
    )
    assert published == [2, 3]
    assert steps == [(2, 6, 1.0), (3, 9, 2.0)]


def with_sampler_logprobs(groups: Groups, shift: float) -> Groups:
    """The groups as a sampler would give them whose log-probabilities differ by `shift`."""
    return [
        (
            index,
            replace(
                group,
                rollouts=[
                    replace(
                        r,
                        completion=replace(
                            r.completion, logprobs=[x + shift for x in r.completion.logprobs]
                        ),
                    )
                    for r in group.rollouts
                ],
            ),
        )
        for index, group in groups
    ]


@pytest.mark.parametrize(("ratio", "weight"), [(1.5, 1.5), (3.0, 2.0)])
def test_a_sampler_that_gives_less_is_weighted_up_to_the_limit(
    model: PreTrainedModel, ratio: float, weight: float
) -> None:
    """All tokens are `ratio` times as likely under the learner as they were when sampled."""
    groups = sampled_groups(model, MIXED)
    other = with_sampler_logprobs(groups, -math.log(ratio))
    plain, _ = gradients(model, groups)
    corrected = learner(model)
    corrected.correction = Correction("token_truncate", 2.0)
    gradient: dict[str, torch.Tensor] = {}

    class Capture(Optimizers):
        def step(self, lr_scale: float) -> float:
            gradient.update({n: p.grad.clone() for n, p in model.named_parameters()})
            return 0.0

    corrected.optimizers = Capture({}, 0.0, corrected.optimizers.weights)
    metrics = learn(corrected, other)
    for name, value in plain.items():
        torch.testing.assert_close(gradient[name], weight * value, atol=2e-6, rtol=2e-4)
    assert metrics[rl.KL_K3] == pytest.approx(ratio - 1 - math.log(ratio), abs=1e-4)
    assert metrics[rl.CUT_RATIO] == (1.0 if ratio > weight else 0.0)
    assert metrics["clip_ratio/region_mean"] == 0.0, "the clip is for the learner's own change"


def test_several_updates_compare_with_the_learner_before_the_first(model: PreTrainedModel) -> None:
    """Without a mismatch the correction changes nothing, in the second update as in the first."""
    groups, weights = sampled_groups(model, MIXED), []
    for correction in (None, Correction("token_truncate", 2.0), Correction("sequence_mask", 1.05)):
        policy = copy.deepcopy(model)
        made = learner(policy, updates_per_step=2, optim=RLOptimConfig(lr=1e-2))
        made.correction = correction
        learn(made, groups)
        weights.append(policy.state_dict())
    for other in weights[1:]:
        for name, value in weights[0].items():
            torch.testing.assert_close(other[name], value, atol=1e-5, rtol=1e-3)


def test_completions_are_scored_in_micro_batches_as_one_by_one(model: PreTrainedModel) -> None:
    groups = sampled_groups(model, [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    scoring = learner(model, micro_batch_tokens=24)
    unscored = Trajectory([2, 3], [0, 0], 0.0, [0.0, 0.0])
    made = [(0, [*group_trajectories(groups[0][1], scoring.config), unscored])]
    made.append((1, group_trajectories(groups[1][1], scoring.config)))
    scored = rl.with_learner_logprobs(scoring, made)
    assert [index for index, _ in scored] == [0, 1]
    assert scored[0][1][-1] == unscored
    for trajectory in [*scored[0][1][:-1], *scored[1][1]]:
        assert trajectory.learner_logprobs == pytest.approx(trajectory.old_logprobs, abs=1e-5)
