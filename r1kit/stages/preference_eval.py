"""Stage preference_eval: the reward models of this run score the general answers of its stages.

The reward models are trained late in the run, so no stage can be scored when it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from r1kit.evals.benchmark import mean_over_ranks
from r1kit.evals.scores import mean
from r1kit.renderers import renderer_of
from r1kit.rollouts.collect import AttemptSampler
from r1kit.stages import evaluation, preference
from r1kit.stages.context import Context
from r1kit.stages.plan import REWARD_MODELS, PlannedStage
from r1kit.types import Attempt


def run(context: Context, stage: PlannedStage) -> dict[str, Any]:
    """Score the stages in `stage.needs`; return the scores as an entry of results.json."""
    reward_models = preference.reward_models(context)

    def liked(attempts: Sequence[Attempt]) -> float | None:
        return mean(score for score in reward_models.scores(attempts) if score is not None)

    scores = {}
    for name in (name for name in stage.needs if name not in REWARD_MODELS):
        answers = _general_answers(context, name)
        scores[name] = mean_over_ranks(map(liked, answers), context.ranks)._asdict()
        context.note(f"{name}: the reward models give its answers {scores[name]['value']:.2f}.")
    return {"scores": scores}


def _general_answers(context: Context, stage: str) -> list[list[Attempt]]:
    """Sample this rank's share of the general benchmark, without grading."""
    benchmark = evaluation.general(context)
    policy = context.load(context.finished_checkpoint(stage))
    progress, n_done = evaluation.counting(context, stage, benchmark), count(1)
    with context.open_sampler(policy) as (sampler, _):
        attempts = AttemptSampler(
            sampler,
            renderer_of(policy.tokenizer),
            benchmark.n_completions,
            benchmark.sampling,
            evaluation.eval_seed(context),
        )
        problems = context.ranks.share(list(enumerate(benchmark.problems)))
        return attempts.sample(problems, lambda index, sampled: progress(next(n_done)))
