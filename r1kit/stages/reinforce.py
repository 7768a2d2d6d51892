"""Shared code of the RL stages: choose problems, sample, verify, reward, update, resume.

A stage determines the initial weights, the problems of each step and the rewards; the loop itself
is train/rl.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from functools import partial
from threading import Event
from typing import Any, Self

from pydantic import TypeAdapter

from r1kit.config import RLConfig
from r1kit.engines.base import RequestState, Sampler
from r1kit.errors import EngineError
from r1kit.judges import Judge
from r1kit.model.ranks import Ranks
from r1kit.renderers import renderer_of
from r1kit.renderers.base import Renderer
from r1kit.rollouts.collect import AttemptSampler, RolloutBatch, collect_rollouts
from r1kit.rollouts.metrics import describe
from r1kit.rollouts.rubric import Rubric
from r1kit.rollouts.trajectories import group_trajectories
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage
from r1kit.stages.recorded_group import record_group
from r1kit.stages.step_evaluation import StepEvaluation
from r1kit.tasks import mix
from r1kit.train.mismatch import Correction
from r1kit.train.optim import make_optimizers
from r1kit.train.rl import Learner, Metrics, RLState, Step, reinforce
from r1kit.types import Group, Problem, SamplingParams


@dataclass(frozen=True)
class RLEnvironment:
    """The problems of an RL stage and the rewards of their completions."""

    tasks_at: Callable[[int], mix.TaskMixture]
    """step, counted from 0 → source of its problems"""
    weights_by_task: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """task → weights of the parts of the reward, for tasks that differ from the stage's"""
    judge: Judge | None = None
    judged_task: str = ""
    """task whose completions the judge scores"""
    first_index: int = 0
    """index of the first problem, so that stages do not sample the same ones"""


def run_with_rule_rewards(
    context: Context, stage: PlannedStage, config: RLConfig, first_index: int = 0
) -> None:
    """Train `stage` on the recipe's problems with rule-based rewards alone.

    Leaves its finished checkpoint.
    """
    tasks = context.tasks("train")
    run(context, stage, config, RLEnvironment(lambda step: tasks, first_index=first_index))


def run(
    context: Context, stage: PlannedStage, config: RLConfig, environment: RLEnvironment
) -> None:
    """Train `stage` from its initial weights; leaves its finished checkpoint."""
    recipe = context.recipe
    resumed = context.resume(stage.name)
    policy = context.load_to_train(stage, resumed)
    optimizers = make_optimizers(policy.trainable(), config.optim)
    state = RLState(cursor=environment.first_index)
    correction = None if recipe.sampler.kind == "local" else Correction.of(config)
    learner = Learner(
        policy,
        optimizers,
        config,
        context.ranks,
        recipe.compute.micro_batch_tokens,
        correction,
    )
    if resumed:
        with resumed.restoring():
            optimizers.load_state_dict(resumed.state["optimizers"])
            state = TypeAdapter(RLState).validate_python(resumed.state["rl"])
            policy.load_reference(resumed.state)

    def started() -> None:
        what = f"{config.loss_type}, {config.n_problems} x {config.n_completions} per step"
        context.started(stage, config.n_steps, what)

    def after_step(state: RLState, metrics: Metrics, step: CollectedStep) -> None:
        context.note_failure(step.failures)
        if config.is_evaluated(state.step):
            metrics |= evaluation.run(state.step)
            started()
        if step.record is not None:
            context.log_sample(step.record)
        context.log(stage.name, state.step, metrics)
        if config.is_saved(state.step):
            saved = {"optimizers": optimizers.state_dict(), "rl": asdict(state)}
            context.save(stage, state.step, policy, saved | policy.reference_state())

    started()
    renderer = renderer_of(policy.tokenizer)
    with (
        context.open_sampler(policy, state.step) as (sampler, weight_sync),
        Collector(context.ranks, sampler, renderer, config, environment, recipe.seed) as collector,
    ):
        evaluation = StepEvaluation(context, stage.name, config, policy, sampler)

        def collect(step: int, cursor: int) -> CollectedStep:
            collected = collector.step(step, cursor)
            is_recorded = context.ranks.is_first and (step + 1) % config.sample_every == 0
            if is_recorded and collected.rollouts:
                group = collected.rollouts[0]
                collected.record = record_group(stage.name, step + 1, group, policy, config)
            return collected

        def publish(version: int) -> None:
            collector.wait()  # completions in flight belong to the old weights
            weight_sync.publish(policy, version)

        ahead = collector.sample_ahead if config.max_staleness and correction else None
        reinforce(learner, state, collect, publish, after_step, ahead)
    if config.load_best_model_at_end:
        context.keep_best(stage.name)


@dataclass
class CollectedStep(Step):
    """A step of the learner together with the rollouts that it came from."""

    rollouts: list[Group]
    """this rank's groups, in the order of `groups`"""
    failures: list[str]
    """failures of verifiers on this rank, the first of each round"""
    record: dict[str, Any] | None = None
    """one of the groups for samples.jsonl, in the steps that record one"""


@dataclass
class Collector:
    """Chooses the problems of a step, and has them sampled and rewarded, split over the ranks.

    It can sample the next step in a thread, which takes part in no collective operation.
    """

    ranks: Ranks
    sampler: Sampler
    renderer: Renderer
    config: RLConfig
    environment: RLEnvironment
    seed: int
    """seed of the run"""
    _thread: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1), init=False)
    _is_over: Event = field(default_factory=Event, init=False)
    _ahead: dict[int, Future[RolloutBatch]] = field(default_factory=dict, init=False)
    """batches that are being sampled, by their first problem"""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.shutdown(cancel_futures=True)

    def sample_ahead(self, step: int, cursor: int) -> None:
        """Begin to sample the first round of a step with the weights that are published now."""
        tasks, problems = self.environment.tasks_at(step), self._problems(step, cursor)
        self._ahead[cursor] = self._thread.submit(self._collect, tasks, problems)

    def wait(self) -> None:
        """Wait until nothing is being sampled."""
        wait(self._ahead.values())

    def step(self, step: int, cursor: int) -> CollectedStep:
        """Collect the groups of one step.

        With dynamic sampling only mixed groups count, from up to `dynamic_rounds` rounds.
        """
        config, tasks = self.config, self.environment.tasks_at(step)
        batches: list[RolloutBatch] = []
        usable: list[tuple[int, Group]] = []  # this rank's groups by problem index
        positions: dict[int, int] = {}
        for _ in range(config.dynamic_rounds if config.dynamic_sampling else 1):
            problems, ahead = self._problems(step, cursor), self._ahead.pop(cursor, None)
            cursor += config.n_problems
            batches.append(self._collect(tasks, problems) if ahead is None else ahead.result())
            usable += self._usable([index for index, _ in problems], batches[-1].groups)
            positions = self._positions([index for index, _ in usable])
            if len(positions) == config.n_problems:
                break
        groups = [(positions[index], group) for index, group in usable if index in positions]
        sampled = [group for batch in batches for group in batch.groups]
        return CollectedStep(
            groups=[(position, group_trajectories(group, config)) for position, group in groups],
            n_groups=len(positions),
            cursor=cursor,
            metrics=_with_speed(describe(sampled, self.ranks) | _times(batches, self.ranks)),
            rollouts=[group for _, group in groups],
            failures=[batch.failure for batch in batches if batch.failure],
        )

    def _problems(self, step: int, cursor: int) -> list[tuple[int, Problem]]:
        """Return this rank's problems of a round, with their indices."""
        tasks = self.environment.tasks_at(step)
        indices = self.ranks.share(range(cursor, cursor + self.config.n_problems))
        return [(index, tasks.problem(index)) for index in indices]

    def _usable(self, indices: list[int], groups: list[Group]) -> list[tuple[int, Group]]:
        """Return the groups that count, by problem index: all, or only mixed ones."""
        return [
            (index, group)
            for index, group in zip(indices, groups, strict=True)
            if not self.config.dynamic_sampling or _is_mixed(group)
        ]

    def _positions(self, indices: list[int]) -> dict[int, int]:
        """Return the position of each problem in the step: the first `n_problems` of all ranks."""
        all_indices = sorted(index for part in self.ranks.gather(indices) for index in part)
        return {index: place for place, index in enumerate(all_indices[: self.config.n_problems])}

    def _collect(self, tasks: mix.TaskMixture, problems: list[tuple[int, Problem]]) -> RolloutBatch:
        config, environment = self.config, self.environment
        rubric = Rubric(
            tasks.verify,
            config.rewards.model_dump(),
            weights_by_task=environment.weights_by_task,
            max_tokens=config.max_tokens,
            overlong_buffer=config.overlong_buffer,
            judge=environment.judge,
            judged_task=environment.judged_task,
        )
        sampling = SamplingParams(config.max_tokens, config.temperature)
        attempts = AttemptSampler(
            _UntilOver(self.sampler, self._is_over),
            self.renderer,
            config.n_completions,
            sampling,
            self.seed,
        )
        return collect_rollouts(attempts, rubric, problems)


class _UntilOver:
    """A sampler that stops when the run of its caller is over, in whichever thread it is used."""

    def __init__(self, sampler: Sampler, is_over: Event) -> None:
        self.counters = sampler.counters
        self.submit, self.abort = sampler.submit, sampler.abort
        self._sampler = sampler
        self._is_over = is_over

    def step(self) -> list[RequestState]:
        """Implement `Sampler.step`. Raises EngineError when the run is over."""
        if self._is_over.is_set():
            raise EngineError("The run is over.")
        return self._sampler.step()


def _with_speed(metrics: Metrics) -> Metrics:
    """Add the tokens that all ranks have sampled per second."""
    speed = metrics["n_completion_tokens"] / max(metrics["time/sample_s"], 1e-9)
    return metrics | {"time/sampled_tokens_per_s": speed}


def _is_mixed(group: Group) -> bool:
    return len({rollout.verdict.correct for rollout in group.rollouts}) > 1


def _times(batches: list[RolloutBatch], ranks: Ranks) -> Metrics:
    """Return the times of the slowest rank, and the counts of undecided and late completions."""
    times = {
        "time/sample_s": sum(batch.sample_s for batch in batches),
        "time/verify_s": sum(batch.verify_s for batch in batches),
    }
    times_by_rank = ranks.gather(times)
    counts = {
        "n_undecided": float(sum(batch.n_undecided for batch in batches)),
        "n_late": float(sum(batch.n_late for batch in batches)),
    }
    if n_failed := sum(batch.n_failed for batch in batches):
        counts["n_failed"] = float(n_failed)
    slowest = {key: max(rank[key] for rank in times_by_rank) for key in times}
    return slowest | ranks.sum(counts)
