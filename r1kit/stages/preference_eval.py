"""Stage preference_eval: the reward models of this run score the general answers of its stages.

The reward models are trained late in the run, so no stage can be scored when it ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from r1kit.evals.benchmark import sample_benchmark
from r1kit.evals.metrics import estimate, mean
from r1kit.stages import evaluation, preference
from r1kit.stages.context import Context
from r1kit.stages.plan import JUDGES, Unit
from r1kit.types import Group, Verdict


def run(context: Context, unit: Unit) -> dict[str, Any]:
    """Score the stages in `unit.needs`; return the scores as an entry of results.json."""
    reward_models = preference.reward_models(context)
    benchmark = replace(evaluation.general(context), verify=lambda *_: Verdict(False, None, ""))

    def liked(group: Group) -> float | None:
        texts = [rollout.completion.text for rollout in group.rollouts]
        decided = reward_models.scores([group.problem] * len(texts), texts)
        return mean(score for score in decided if score is not None)

    scores = {}
    for stage in (name for name in unit.needs if name not in JUDGES):
        policy = context.load(context.latest(stage))
        sampler = context.open_sampler(policy).sampler
        seed = evaluation.eval_seed(context)
        progress = evaluation.counting(context, stage, benchmark)
        batch = sample_benchmark(
            sampler, policy.tokenizer, benchmark, context.ranks, seed, progress
        )
        context.note_failure([batch.failure] if batch.failure else [])
        scores[stage] = estimate(batch.groups, context.ranks, liked)._asdict()
        context.note(f"{stage}: the reward models give its answers {scores[stage]['value']:.2f}.")
    return {"scores": scores}
