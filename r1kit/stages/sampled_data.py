"""Shared code of stages trained on samples: rejection sampling from another stage's model."""

from __future__ import annotations

from r1kit.config import RejectionSamplingConfig
from r1kit.curate import BenchmarkQuestions, Provenance, TrainingRow, conversation
from r1kit.errors import TaskError
from r1kit.files.json_lines import read_lines
from r1kit.renderers import renderer_of
from r1kit.rollouts.collect import AttemptSampler, RolloutBatch, collect_rollouts
from r1kit.rollouts.rejection import IndexedProblems, rejection_sampling
from r1kit.rollouts.rubric import Rubric
from r1kit.runs.stage_specs import first_index
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage
from r1kit.tasks.general import General
from r1kit.types import SamplingParams

CHUNK = 512
"""number of problems between two flushes, the most that a kill can lose"""


def sample_conversations(
    context: Context, stage: PlannedStage, config: RejectionSamplingConfig
) -> list[TrainingRow]:
    """Sample conversations from the model of `data_from`; also write `data/<stage>.jsonl`.

    Held-out problems are the benchmark for decontamination. Raises CurationError if nothing is
    left.
    """
    recipe = context.recipe
    teacher = stage.data_from
    assert teacher is not None, f"{stage.name} has no source of data"
    path = context.finished_checkpoint(teacher)
    policy = context.load(path)
    tasks, first = context.tasks("train"), first_index(stage.name)
    renderer, rubric = renderer_of(policy.tokenizer), Rubric(tasks.verify, {})
    sampling = SamplingParams(config.max_tokens, config.temperature, config.top_p)
    held_out = context.tasks("held_out").distinct(recipe.eval.n_problems)
    report = context.counting(
        stage.name, config.n_problems, f"{teacher} answers {config.n_problems:,} problems"
    )
    failures: list[str] = []

    def sample(part: IndexedProblems) -> RolloutBatch:
        batch = collect_rollouts(attempts, rubric, part)
        failures.extend([batch.failure] if batch.failure else [])
        return batch

    with context.open_sampler(policy) as (sampler, _):
        attempts = AttemptSampler(sampler, renderer, config.n_completions, sampling, recipe.seed)
        samples = rejection_sampling(
            [(index, tasks.problem(index)) for index in range(first, first + config.n_problems)],
            sample,
            context.data(stage.name),
            Provenance(path.name, recipe.seed),
            config.rules,
            [
                BenchmarkQuestions(
                    "held-out", [problem.messages[-1].content for problem in held_out]
                )
            ],
            n=config.n_completions,
            sampling=sampling,
            parse=renderer.parse,
            chunk=CHUNK,
            ranks=context.ranks,
            on_chunk=lambda n_done, total: report(n_done) if n_done else None,
        )
    context.note_failure(failures)
    rows = [row for _, row in read_lines(samples.data)]
    context.note(f"{stage.name}: {len(rows):,} of {samples.n_rollouts:,} samples are kept.")
    return rows


def general_conversations(context: Context, n: int) -> list[TrainingRow]:
    """Return the first `n` conversations of the general task. Raises TaskError if it has none."""
    if not n:
        return []
    task = context.general("train")
    if not isinstance(task, General):
        raise TaskError(f"Task {task.name!r} has no conversation(index); set n_general to 0.")
    rows = []
    for problem, messages in map(task.conversation, range(n)):
        facts = {"problem": problem.id, "task": problem.task, "language": problem.language}
        rows.append(conversation(messages, **facts))
    return rows
