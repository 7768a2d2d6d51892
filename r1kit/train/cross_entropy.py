"""Cross-entropy for pretraining and SFT: the mean over the scored tokens of a step.

Every rank takes its share of the trajectories of an update, so the gradient is the same for any
number of processes, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.model.policy import Policy
from r1kit.model.ranks import Ranks
from r1kit.train.batch import filler, pack
from r1kit.types import Trajectory


def cross_entropy(
    policy: Policy, trajectories: Sequence[Trajectory], ranks: Ranks, micro_batch_tokens: int
) -> dict[str, float]:
    """Compute gradients of the mean loss over all ranks' scored tokens.

    Returns that loss, and exact counts of tokens.
    """
    counts = ranks.sum(
        {
            "n_scored_tokens": sum(sum(trajectory.loss_mask) for trajectory in trajectories),
            "n_trained_tokens": sum(len(trajectory.token_ids) for trajectory in trajectories),
        }
    )
    weight = 1 / counts["n_scored_tokens"]
    total = n_flops = 0.0
    device = ranks.device
    batches = pack(trajectories, [weight] * len(trajectories), micro_batch_tokens, device)
    for batch in ranks.pad(batches, filler(device)):
        logprobs = policy.logprobs(batch.input_ids, batch.lengths, batch.mask)
        loss = -(logprobs * batch.weights).sum()
        loss.backward()
        total += loss.item()
        n_flops += 0.0 if batch.is_filler else policy.pass_flops.of(batch.lengths)
    return ranks.sum({"loss": total, "n_flops": n_flops}) | counts
