"""What a step of reinforcement learning collects: real tasks and verdicts, scripted answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest
from transformers import PreTrainedTokenizerFast

from r1kit.config import ComputeConfig, RLConfig
from r1kit.engines.scripted import ScriptedEngine
from r1kit.model.parallel import launch
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.stages.reinforce import Collector, RLEnvironment
from r1kit.tasks.mix import TaskMixture
from r1kit.tasks.world import Equation
from r1kit.types import Problem, Request, Verdict

N_PROBLEMS = 12
"""more than any step reaches"""
TASKS = TaskMixture([Equation(languages=["en"])], [1.0], 0, "train")
CPU = ComputeConfig(device="cpu", threads=1)


def make_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["Solve 3x+1=10 wait yes no"] * 4, 300)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


def collector(
    tokenizer: PreTrainedTokenizerFast,
    is_right: Callable[[int, int], bool],
    ranks: Ranks | None = None,
    **settings: object,
) -> Collector:
    """Two problems per step, two answers each; `is_right(problem, sample)` says which are right."""
    config = RLConfig(n_problems=2, n_completions=2, max_tokens=64, **settings)
    renderer = renderer_of(tokenizer)
    problems = enumerate(TASKS.problems(0, N_PROBLEMS))
    index_of = {tuple(renderer.render_prompt(problem.messages)): i for i, problem in problems}

    def answer(request: Request, sample: int) -> str:
        index = index_of[tuple(request.prompt_ids)]
        gold = TASKS.problem(index).answer
        return f"<think>try wait</think>\\boxed{{{gold if is_right(index, sample) else 999}}}"

    engine = ScriptedEngine(answer, tokenizer)
    environment = RLEnvironment(lambda step: TASKS)
    return Collector(ranks or Ranks(), engine, renderer, config, environment, seed=0)


def test_a_step_has_the_groups_of_its_problems_and_describes_them(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    result = collector(tokenizer, lambda index, position: (index + position) % 2 == 0).step(0, 0)
    assert [position for position, _ in result.groups] == [0, 1]
    assert [group.problem for group in result.rollouts] == TASKS.problems(0, 2)
    assert [[r.verdict.correct for r in group.rollouts] for group in result.rollouts] == [
        [True, False], [False, True],
    ]  # fmt: skip
    assert (result.n_groups, result.cursor) == (2, 2)
    assert result.metrics["rewards/accuracy/mean"] == 0.5
    assert result.metrics["reward"] == 1.5
    assert result.metrics["completions/mean_reflections"] == 1.0
    assert result.metrics["n_undecided"] == result.metrics["n_late"] == 0.0
    assert result.metrics["time/sample_s"] > 0


def test_a_failing_verifier_is_counted_and_reported(tokenizer: PreTrainedTokenizerFast) -> None:
    class Fragile(Equation):
        def verify(self, problem: Problem, answer: str) -> Verdict:
            if "999" in answer:
                raise KeyError("no such answer")
            return super().verify(problem, answer)

    made = collector(tokenizer, lambda index, position: position == 0)
    tasks = TaskMixture([Fragile(languages=["en"])], [1.0], 0, "train")
    step = replace(made, environment=RLEnvironment(lambda step: tasks)).step(0, 0)
    assert [len(group.rollouts) for group in step.rollouts] == [1, 1]
    assert step.metrics["n_failed"] == step.metrics["n_undecided"] == 2.0
    assert step.failures == ["The verifier of equation failed (KeyError: 'no such answer')."]


@pytest.mark.parametrize(("rounds", "remaining"), [(1, []), (2, [3]), (3, [3, 5])])
def test_dynamic_sampling_draws_until_enough_groups_are_mixed(
    tokenizer: PreTrainedTokenizerFast, rounds: int, remaining: list[int]
) -> None:
    """The problems 3 and 5 are answered once right and once wrong, all others wrong."""
    made = collector(
        tokenizer,
        lambda index, position: index in (3, 5) and position == 0,
        dynamic_sampling=True,
        dynamic_rounds=rounds,
    )
    result = made.step(0, 0)
    assert [group.problem for group in result.rollouts] == [TASKS.problem(i) for i in remaining]
    assert [position for position, _ in result.groups] == list(range(len(remaining)))
    assert (result.n_groups, result.cursor) == (len(remaining), 2 * rounds)
    assert result.metrics["n_problems"] == 2 * rounds, "what was thrown away is described too"


class Collected(NamedTuple):
    """What the learners of all ranks get together."""

    groups: list[tuple[int, str, list[bool | None], list[float | None]]]
    """position in the step, problem, verdicts, advantages; by position"""
    n_groups: int
    cursor: int
    metrics: dict[str, float]


def collected(ranks: Ranks, settings: dict[str, bool | int], n_steps: int) -> list[Collected]:
    """Collect steps on every rank; even problems are answered once right and once wrong."""
    made = collector(make_tokenizer(), lambda i, sample: i % 2 == 0 == sample, ranks, **settings)
    steps, cursor = [], 0
    for index in range(n_steps):
        step = made.step(index, cursor)
        own = [
            (
                position,
                group.problem.id,
                [rollout.verdict.correct for rollout in group.rollouts],
                [trajectory.advantage for trajectory in trajectories],
            )
            for (position, trajectories), group in zip(step.groups, step.rollouts, strict=True)
        ]
        groups = sorted(item for part in ranks.gather(own) for item in part)
        metrics = {key: v for key, v in step.metrics.items() if not key.startswith("time/")}
        steps.append(Collected(groups, step.n_groups, step.cursor, metrics))
        cursor = step.cursor
    return steps


@pytest.mark.usefixtures("forked_ranks")
@pytest.mark.parametrize("dynamic", [False, True])
def test_two_ranks_collect_what_one_does(dynamic: bool) -> None:
    """The ranks take turns at problems, and with dynamic sampling one of them finds no group."""
    settings: dict[str, bool | int] = {"dynamic_sampling": dynamic, "dynamic_rounds": 3}
    alone = collected(Ranks(), settings, 2)
    together = launch(2, CPU, collected, settings, 2)
    assert together == alone
    first, second = alone
    assert [position for position, *_ in first.groups] == [0, 1]
    assert first.n_groups == second.n_groups == 2
    assert first.cursor == (4 if dynamic else 2), "two rounds, until two problems were mixed"
    verdicts = [verdicts for _, _, verdicts, _ in first.groups]
    assert verdicts == [[True, False]] * 2 if dynamic else [[True, False], [False, False]]
    std = 0.5**0.5  # of the rewards 2 and 1, whose mean is 1.5
    assert first.groups[0][-1] == pytest.approx([0.5 / std, -0.5 / std], abs=1e-5)
