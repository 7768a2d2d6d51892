"""Evaluate a checkpoint on held-out problems, with standard errors.

Source: R1 paper, section 3: k samples per problem at temperature 0.6 and top-p 0.95, their mean as
pass@1, their majority as cons@k. Standard errors are those of the mean over problems, so that
samples of the same problem do not count as independent.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from r1kit.engines.base import Sampler
from r1kit.evals.metrics import mean, mean_fact, pass_rate, stderr, vote
from r1kit.rollouts.collect import Rubric, collect_rollouts
from r1kit.rollouts.metrics import rollout_record
from r1kit.stages import preference
from r1kit.stages.context import Context
from r1kit.stages.plan import JUDGES, Unit
from r1kit.tasks import mix
from r1kit.types import Group, Message, Problem, Sampling, Verdict
from r1kit.verify.answer import check_number
from r1kit.verify.language import language_of

N_SHOWN = 6
"""number of held-out problems whose answers the report shows for every stage"""
EVAL_SEED = 7_777
"""added to the recipe's seed, so that seeds differ from those of training"""
MEASURES = {
    "mean_tokens": "tokens",
    "reflection_per_answer": "reflections",
    "language_consistency": "language",
    "well_formed": "rewards/format",
    "truncated": "clipped",
}
"""key in results.json → the fact (rollouts.metrics.facts) whose mean over completions it is"""

Values = list[float]
"""one value per problem, over all ranks"""


def run(context: Context, stage: str) -> dict[str, Any]:
    """Evaluate the newest checkpoint of `stage`; return its entry in results.json."""
    recipe, config = context.recipe, context.recipe.eval
    path = context.latest(stage)
    policy = context.load(path)
    sampler = context.open_sampler(policy).sampler
    tasks = context.tasks("held_out")
    rubric = Rubric(policy.tokenizer, tasks.verify, recipe.zero.rewards.model_dump())
    groups = _sat(context, stage, sampler, rubric, tasks.distinct(config.n_problems))
    if context.run is not None and not context.run.has_shown(stage):
        for record in _showcase(context, stage, sampler, rubric, tasks):
            context.sample(record)
    rates, votes = _of_all(context, groups, pass_rate), _of_all(context, groups, vote)
    gains = [voted - rate for voted, rate in zip(votes, rates, strict=True)]
    measured = {
        "pass_at_1": statistics.fmean(rates),
        "stderr": stderr(rates),
        "cons_at_k": statistics.fmean(votes),
        "cons_gain": statistics.fmean(gains),
        "n_problems": len(rates),
        "n_parameters": policy.n_parameters,
        "samples": config.samples,
        **_measures(context, groups),
        "by_task": _by_task(context, groups),
        "checkpoint": path.name,
    }
    measured["errors"] |= {"cons_at_k": stderr(votes), "cons_gain": stderr(gains)}
    # Students are measured on reasoning alone, as in the paper (section 2.4).
    if recipe.general is not None and not stage.startswith("distill/"):
        measured["general"] = _general(context, stage, sampler, rubric)
    return measured


def again(context: Context, unit: Unit) -> None:
    """Do nothing: a finished stage whose results are lost is only evaluated again."""


def judge(context: Context, unit: Unit) -> dict[str, Any]:
    """Score the general answers of the stages in `unit.needs` with this run's reward models.

    The reward models are trained late in the run, so no stage can be scored when it ends.
    """
    reward_models, found = preference.reward_models(context), {}
    stages = [name for name in unit.needs if name not in JUDGES]
    for stage in stages:
        policy = context.load(context.latest(stage))
        sampler = context.open_sampler(policy).sampler
        rubric = Rubric(policy.tokenizer, lambda *_: Verdict(False, None, ""), {})
        groups = _talked(context, stage, sampler, rubric)

        def liked(group: Group) -> float | None:
            texts = [rollout.completion.text for rollout in group.rollouts]
            scores = reward_models.scores([group.problem] * len(texts), texts)
            return mean(score for score in scores if score is not None)

        scores = _of_all(context, groups, liked)
        found[stage] = {"value": statistics.fmean(scores), "stderr": stderr(scores)}
        context.note(f"{stage}: the reward models give its answers {found[stage]['value']:.2f}.")
    return {"preference": found}


def _general(context: Context, stage: str, sampler: Sampler, rubric: Rubric) -> dict[str, Any]:
    """Evaluate a checkpoint on held-out general prompts."""
    task = context.general("held_out")
    groups = _talked(context, stage, sampler, dataclasses.replace(rubric, verify=task.verify))
    rates = _of_all(context, groups, pass_rate)
    return {
        "accuracy": statistics.fmean(rates),
        "stderr": stderr(rates),
        "n_problems": len(rates),
        **_measures(context, groups),
    }


def _talked(context: Context, stage: str, sampler: Sampler, rubric: Rubric) -> list[Group]:
    recipe = context.recipe
    task = context.general("held_out")
    problems = mix.TaskMixture([task], [1.0], recipe.seed, "held_out").distinct(
        recipe.eval.n_general
    )
    return _sat(context, stage, sampler, rubric, problems)


def _sat(
    context: Context, stage: str, sampler: Sampler, rubric: Rubric, problems: Sequence[Problem]
) -> list[Group]:
    """Sample the problems; return this rank's groups."""
    config = context.recipe.eval
    mine = context.ranks.share(list(enumerate(problems)))
    told = f"{len(problems)} held-out problems, {config.samples} answers each"
    found = collect_rollouts(
        sampler,
        rubric,
        mine,
        config.samples,
        Sampling(config.max_tokens, config.temperature, config.top_p),
        context.recipe.seed + EVAL_SEED,
        on_sampled=context.counting(stage, len(mine), told),
    )
    context.note_failure([found.failure] if found.failure else [])
    return found.groups


def _of_all(
    context: Context, groups: Sequence[Group], value: Callable[[Group], float | None]
) -> Values:
    """Return `value` of the problems of all ranks, without those that have none.

    A problem without a decided completion has none.
    """
    mine = [value(group) if group.rollouts else None for group in groups]
    return [item for part in context.ranks.gather(mine) for item in part if item is not None]


def _measures(context: Context, groups: Sequence[Group]) -> dict[str, Any]:
    """Return the measures, and the standard error of each under `errors`."""
    found: dict[str, Any] = {"errors": {}}
    for name, fact in MEASURES.items():
        values = _of_all(context, groups, partial(mean_fact, name=fact))
        found[name] = statistics.fmean(values) if values else 0.0
        found["errors"][name] = stderr(values)
    return found


def _by_task(context: Context, groups: Sequence[Group]) -> dict[str, float]:
    mine = [(group.problem.task, pass_rate(group)) for group in groups if group.rollouts]
    rates: dict[str, Values] = {}
    for task, rate in sorted(item for part in context.ranks.gather(mine) for item in part):
        rates.setdefault(task, []).append(rate)
    return {task: statistics.fmean(found) for task, found in rates.items()}


def _showcase(
    context: Context,
    stage: str,
    sampler: Sampler,
    rubric: Rubric,
    tasks: mix.TaskMixture,
) -> list[dict[str, Any]]:
    """Return greedy answers to the recipe's questions and some held-out problems.

    Called on the first rank only.
    """
    asked = [
        Problem(
            f"showcase/{i}",
            "showcase",
            (Message("user", item.question),),
            item.answer,
            language_of(item.question),
        )
        for i, item in enumerate(context.recipe.showcase)
    ]
    problems = asked + tasks.problems(0, N_SHOWN)

    def verify(problem: Problem, answer: str) -> Verdict:
        is_asked = problem.task == "showcase"
        return check_number(answer, problem.answer) if is_asked else tasks.verify(problem, answer)

    found = collect_rollouts(
        sampler,
        dataclasses.replace(rubric, verify=verify),
        list(enumerate(problems)),
        1,
        Sampling(context.recipe.eval.max_tokens, temperature=0.0),
        context.recipe.seed,
    )
    return [
        {
            "kind": "showcase",
            "stage": stage,
            "question": group.problem.messages[-1].content,
            "gold": group.problem.answer,
        }
        | rollout_record(rollout)
        for group in found.groups
        for rollout in group.rollouts
    ]
