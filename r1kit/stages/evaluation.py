"""Evaluate the checkpoint of a stage on the recipe's benchmarks; sample greedily for the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from r1kit.config import EvalConfig
from r1kit.engines.base import Sampler
from r1kit.evals.benchmark import Benchmark, BenchmarkResult, sample_benchmark, summarize
from r1kit.model.ranks import Ranks
from r1kit.renderers import renderer_of
from r1kit.renderers.base import Renderer
from r1kit.rollouts.metrics import rollout_record
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage
from r1kit.stages.public_benchmarks import OWN_NAMES, fitting, public_benchmarks
from r1kit.tasks import mix
from r1kit.types import Message, Problem, SamplingParams, Verdict
from r1kit.verify.answer import check_number
from r1kit.verify.language import language_of

N_SHOWN = 6
"""number of held-out problems whose completions the report shows for every stage"""
EVAL_SEED = 7_777
"""added to the recipe's seed, so that seeds differ from those of training"""


def run(context: Context, stage: str) -> dict[str, Any]:
    """Evaluate the newest checkpoint of `stage`; return its entry in results.json."""
    path = context.finished_checkpoint(stage)
    policy = context.load(path)
    renderer = renderer_of(policy.tokenizer)
    evals = {}
    with context.open_sampler(policy) as (sampler, _):
        others = public(context, renderer, policy.max_positions)
        for benchmark in [*benchmarks(context, stage), *others]:
            result = measure(context, stage, benchmark, sampler, renderer)
            evals[benchmark.name] = result.as_record()
        if context.run is not None and not context.run.has_shown(stage):
            for record in _showcase(context, stage, sampler, renderer):
                context.log_sample(record)
    prompt = renderer.show_prompt(context.tasks("held_out").problem(0).messages)
    facts = {"checkpoint": path.name, "n_parameters": policy.n_parameters, "prompt": prompt}
    return {**facts, "evals": evals}


def measure(
    context: Context, stage: str, benchmark: Benchmark, sampler: Sampler, renderer: Renderer
) -> BenchmarkResult:
    """Measure a sampler on a benchmark, with progress; call it on every rank."""
    progress, seed = counting(context, stage, benchmark), eval_seed(context)
    batch = sample_benchmark(sampler, renderer, benchmark, context.ranks, seed, progress)
    context.note_failure([batch.failure] if batch.failure else [])
    return summarize(benchmark, batch.groups, context.ranks)


def public(context: Context, renderer: Renderer, max_positions: int | None) -> list[Benchmark]:
    """Return the benchmarks of `[[evals]]`, as far as the model's context has room for them."""
    return [
        fitting(benchmark, renderer, max_positions)
        for benchmark in public_benchmarks(context.recipe)
    ]


def skip_training(context: Context, stage: PlannedStage) -> None:
    """Do nothing: a finished stage whose results are lost is only evaluated again."""


def benchmarks(context: Context, stage: str) -> list[Benchmark]:
    """Return the benchmarks of a stage."""
    # Students are measured on reasoning alone, as in the paper (section 2.4).
    has_general = context.recipe.general is not None and not stage.startswith("distill/")
    return [reasoning(context), *([general(context)] if has_general else [])]


def reasoning(context: Context) -> Benchmark:
    """Return held-out problems of the recipe's tasks as a benchmark."""
    config, tasks = context.recipe.eval, context.tasks("held_out")
    problems = tasks.distinct(config.n_problems)
    return Benchmark("reasoning", problems, tasks.verify, _sampling(config), config.n_completions)


def general(context: Context) -> Benchmark:
    """Return held-out prompts of the general task as a benchmark."""
    config, task = context.recipe.eval, context.general("held_out")
    mixture = mix.TaskMixture([task], [1.0], context.recipe.seed, "held_out")
    problems = mixture.distinct(config.n_general, "eval.n_general")
    return Benchmark(
        "general", problems, task.verify, _sampling(config), config.n_completions, has_votes=False
    )


def _sampling(config: EvalConfig) -> SamplingParams:
    return SamplingParams(config.max_tokens, config.temperature, config.top_p)


def eval_seed(context: Context) -> int:
    return context.recipe.seed + EVAL_SEED


def counting(context: Context, stage: str, benchmark: Benchmark) -> Callable[[int], None]:
    """Show the progress of a benchmark; call the returned function with the number of problems."""
    n_problems, n = len(benchmark.problems), benchmark.n_completions
    kind = "held-out problems" if benchmark.name in OWN_NAMES else f"problems of {benchmark.name}"
    what = f"{n_problems} {kind}, {n} completion{'s' * (n > 1)} each"
    return context.counting(stage, len(context.ranks.share(range(n_problems))), what)


def _showcase(
    context: Context, stage: str, sampler: Sampler, renderer: Renderer
) -> list[dict[str, Any]]:
    """Return greedy completions of the recipe's questions and some held-out problems.

    Called on the first rank only.
    """
    recipe, tasks = context.recipe, context.tasks("held_out")
    questions = [
        Problem(
            f"showcase/{i}",
            "showcase",
            (Message("user", item.question),),
            item.answer,
            language_of(item.question),
        )
        for i, item in enumerate(recipe.showcase)
    ]

    def verify(problem: Problem, answer: str) -> Verdict:
        is_question = problem.task == "showcase"
        return (
            check_number(answer, problem.answer) if is_question else tasks.verify(problem, answer)
        )

    problems = questions + tasks.problems(0, N_SHOWN)
    greedy = SamplingParams(recipe.eval.max_tokens, temperature=0.0)
    benchmark = Benchmark("showcase", problems, verify, greedy)
    batch = sample_benchmark(sampler, renderer, benchmark, Ranks(), recipe.seed)
    return [
        {
            "kind": "showcase",
            "stage": stage,
            "question": group.problem.messages[-1].content,
            "gold": group.problem.answer,
        }
        | rollout_record(rollout)
        for group in batch.groups
        for rollout in group.rollouts
    ]
