"""Stage bench: what a checkpoint can do, on held-out problems, with its error bar."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from r1kit.engines.base import Engine
from r1kit.engines.local import LocalEngine
from r1kit.rollout import Exam, collect
from r1kit.stages.context import Context
from r1kit.stages.measure import describe, rollout_record
from r1kit.tasks import mix
from r1kit.types import Group, Message, Problem, Sampling, Verdict
from r1kit.verify.answer import check_number
from r1kit.verify.language import language_of

N_SHOWN = 6
"""held-out problems whose answers the report shows for every stage"""
BENCH_SEED = 7_777
"""apart from the seeds of training"""


def run(context: Context, stage: str) -> dict[str, Any]:
    """Measures the newest checkpoint of `stage`: the entry of results.json."""
    recipe, config = context.recipe, context.recipe.bench
    path = context.latest(stage)
    model, words = context.load(path)
    engine = LocalEngine(model, words, max_rows=recipe.compute.max_rows)
    tasks = mix.load(recipe, "held_out")
    exam = Exam(words, tasks.verify, recipe.zero.rewards.model_dump())
    groups, rates = _sat(context, engine, exam, tasks.distinct(config.n_problems))
    metrics = describe(groups, context.ranks)
    for record in _showcase(context, stage, engine, exam, tasks):
        context.sample(record)
    votes = [vote for part in context.ranks.gather(_votes(groups)) for vote in part]
    measured = {
        "pass_at_1": statistics.fmean(rates),
        "stderr": _stderr(rates),
        "cons_at_k": statistics.fmean(votes),
        "cons_stderr": _stderr(votes),
        "n_problems": len(rates),
        "n_parameters": model.num_parameters(),
        "samples": config.samples,
        "mean_tokens": metrics["completions/mean_length"],
        "reflection_per_answer": metrics["reflection_per_answer"],
        "language_consistency": metrics["language_consistency"],
        "truncated": metrics["completions/clipped_ratio"],
        "well_formed": metrics["rewards/format"],
        "by_task": {
            key.removeprefix("accuracy/"): value
            for key, value in metrics.items()
            if key.startswith("accuracy/")
        },
        "checkpoint": path.name,
    }
    if recipe.general is not None:
        measured["general"] = _general(context, engine, exam)
    return measured


def _general(context: Context, engine: Engine, exam: Exam) -> dict[str, Any]:
    """What a checkpoint can do with held-out prompts that are not reasoning."""
    recipe = context.recipe
    task = mix.general(recipe, "held_out")
    problems = mix.Mix([task], [1.0], recipe.seed, "held_out").distinct(recipe.bench.n_general)
    groups, rates = _sat(context, engine, dataclasses.replace(exam, verify=task.verify), problems)
    metrics = describe(groups, context.ranks)
    return {
        "accuracy": statistics.fmean(rates),
        "stderr": _stderr(rates),
        "format": metrics["rewards/format"],
        "language_consistency": metrics["language_consistency"],
        "mean_tokens": metrics["completions/mean_length"],
        "n_problems": len(rates),
    }


def _sat(
    context: Context, engine: Engine, exam: Exam, problems: Sequence[Problem]
) -> tuple[list[Group], list[float]]:
    """This rank's groups of the problems, and the pass rates of all ranks' problems."""
    config = context.recipe.bench
    found = collect(
        engine,
        exam,
        context.ranks.share(list(enumerate(problems))),
        config.samples,
        Sampling(config.max_tokens, config.temperature, config.top_p),
        context.recipe.seed + BENCH_SEED,
    )
    parts = context.ranks.gather(_rates(found.groups))
    return found.groups, [rate for part in parts for rate in part]


def _stderr(values: Sequence[float]) -> float:
    """Of their mean, problems as clusters."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _votes(groups: Sequence[Group]) -> list[float]:
    """Of each problem, whether the answer most of its completions gave is right.

    Answers are the same if their texts are; of equally many the first one counts.
    """
    votes = []
    for group in groups:
        verdicts = [rollout.verdict for rollout in group.rollouts]
        counts = Counter(v.extracted for v in verdicts if v.extracted is not None)
        if counts:
            [(answer, _)] = counts.most_common(1)
            votes.append(float(next(bool(v.correct) for v in verdicts if v.extracted == answer)))
        elif verdicts:
            votes.append(0.0)
    return votes


def _rates(groups: Sequence[Group]) -> list[float]:
    """Share of right completions of each problem that could be decided."""
    return [
        statistics.fmean(bool(rollout.verdict.correct) for rollout in group.rollouts)
        for group in groups
        if group.rollouts
    ]


def _showcase(
    context: Context,
    stage: str,
    engine: Engine,
    exam: Exam,
    tasks: mix.Mix,
) -> list[dict[str, Any]]:
    """Greedy answers to the recipe's questions and to some held-out problems; first rank only."""
    if not context.ranks.is_first:
        return []
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

    found = collect(
        engine,
        dataclasses.replace(exam, verify=verify),
        list(enumerate(problems)),
        1,
        Sampling(context.recipe.bench.max_tokens, temperature=0.0),
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
