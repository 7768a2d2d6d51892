"""Fine-tuning: what is scored, in which order, and the loss by hand."""

import torch

from r1kit.config import ModelConfig, SFTOptimConfig
from r1kit.model import causal_lm
from r1kit.model.ranks import Ranks
from r1kit.train.cross_entropy import cross_entropy
from r1kit.train.optim import make_optimizers
from r1kit.train.sft import example, updates
from r1kit.train.train_loop import train_loop
from tests.conftest import policy_of


def test_only_the_turn_is_scored() -> None:
    made = example([1, 5, 6], [7, 2], "p")
    assert made.token_ids == [1, 5, 6, 7, 2]
    assert made.loss_mask == [0, 0, 0, 1, 1]
    assert made.advantage is None


def test_every_example_once_an_epoch_in_new_orders() -> None:
    plan = updates(10, batch=4, epochs=2, seed=0)
    assert [len(update) for update in plan] == [4, 4, 2, 4, 4, 2]
    first, second = ([i for update in part for i in update] for part in (plan[:3], plan[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert plan == updates(10, batch=4, epochs=2, seed=0) != updates(10, 4, 2, seed=1)


def test_the_loss_is_the_mean_over_all_scored_tokens_and_counts_are_exact() -> None:
    shape = ModelConfig(n_layers=1, hidden=32, intermediate=48, n_heads=2, n_kv_heads=2)
    model = causal_lm.build(shape, 40, eos_id=2, pad_id=0, bos_id=1, seed=0)
    policy = policy_of(model)
    examples = [example([1, 5, 6], [7, 2]), example([1, 9], [8, 8, 8, 3, 2])]
    by_hand, n = 0.0, 0
    with torch.no_grad():
        for item in examples:
            ids = torch.tensor([item.token_ids])
            logprobs = model(ids).logits.log_softmax(-1)[0]
            for index, scored in enumerate(item.loss_mask):
                if scored:
                    by_hand -= float(logprobs[index - 1, item.token_ids[index]])
                    n += 1
    observed = []
    train_loop(
        cross_entropy,
        policy,
        make_optimizers(policy.trainable(), SFTOptimConfig()),
        [examples],
        SFTOptimConfig(),
        Ranks(),
        first_step=0,
        micro_batch_tokens=6,
        after_step=lambda step, metrics: observed.append(metrics),
    )
    assert abs(observed[0]["loss"] - by_hand / n) < 1e-5
    assert (observed[0]["n_scored_tokens"], observed[0]["n_trained_tokens"]) == (7, 12)
