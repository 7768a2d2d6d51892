"""What a step of reinforcement learning collects: real tasks and verdicts, scripted answers."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizerFast

from r1kit.config import RLConfig
from r1kit.engines.scripted import ScriptedEngine
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.stages.reinforce import Collector, Curriculum
from r1kit.tasks.mix import TaskMixture
from r1kit.tasks.world import Equation
from r1kit.types import Problem, Request, Verdict


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["Solve 3x+1=10 wait yes no"] * 4, 300)


TASKS = TaskMixture([Equation(languages=["en"])], [1.0], 0, "train")


def collector(
    tokenizer: PreTrainedTokenizerFast, is_right: Callable[[int, int], bool], **settings: object
) -> Collector:
    """Of two problems a step, two answers each; `is_right(index, place)` says which are right."""
    config = RLConfig(n_problems=2, n_completions=2, max_tokens=64, **settings)
    seen: dict[tuple[int, ...], int] = {}

    def answer(request: Request, place: int) -> str:
        index = seen.setdefault(tuple(request.prompt_ids), len(seen))
        gold = TASKS.problem(index).answer
        return f"<think>try wait</think>\\boxed{{{gold if is_right(index, place) else 999}}}"

    curriculum = Curriculum(lambda step: TASKS)
    renderer = renderer_of(tokenizer)
    return Collector(
        Ranks(), ScriptedEngine(answer, tokenizer), renderer, config, curriculum, seed=0
    )


def test_a_step_has_the_groups_of_its_problems_and_describes_them(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    found = collector(tokenizer, lambda index, place: (index + place) % 2 == 0).step(0, 0)
    assert [place for place, _ in found.groups] == [0, 1]
    assert [group.problem for group in found.rollouts] == TASKS.problems(0, 2)
    assert [[r.verdict.correct for r in group.rollouts] for group in found.rollouts] == [
        [True, False], [False, True],
    ]  # fmt: skip
    assert (found.n_groups, found.cursor) == (2, 2)
    assert found.metrics["rewards/accuracy"] == 0.5
    assert found.metrics["reward"] == 1.5
    assert found.metrics["reflection_per_answer"] == 1.0
    assert found.metrics["n_undecided"] == found.metrics["n_late"] == 0.0
    assert found.metrics["time/sample_s"] > 0


def test_a_failing_verifier_is_counted_and_reported(tokenizer: PreTrainedTokenizerFast) -> None:
    class Fragile(Equation):
        def verify(self, problem: Problem, answer: str) -> Verdict:
            if "999" in answer:
                raise KeyError("no such answer")
            return super().verify(problem, answer)

    made = collector(tokenizer, lambda index, place: place == 0)
    tasks = TaskMixture([Fragile(languages=["en"])], [1.0], 0, "train")
    step = replace(made, curriculum=Curriculum(lambda step: tasks)).step(0, 0)
    assert [len(group.rollouts) for group in step.rollouts] == [1, 1]
    assert step.metrics["n_failed"] == step.metrics["n_undecided"] == 2.0
    assert step.failures == ["The verifier of equation failed (KeyError: 'no such answer')."]


@pytest.mark.parametrize(("rounds", "kept"), [(1, []), (2, [3]), (3, [3, 5])])
def test_dynamic_sampling_draws_until_enough_groups_are_mixed(
    tokenizer: PreTrainedTokenizerFast, rounds: int, kept: list[int]
) -> None:
    """The problems 3 and 5 are answered once right and once wrong, all others wrong."""
    dynamic = {"dynamic_sampling": True, "dynamic_rounds": rounds}
    made = collector(tokenizer, lambda index, place: index in (3, 5) and place == 0, **dynamic)
    found = made.step(0, 0)
    assert [group.problem for group in found.rollouts] == [TASKS.problem(i) for i in kept]
    assert [place for place, _ in found.groups] == list(range(len(kept)))
    assert (found.n_groups, found.cursor) == (len(kept), 2 * rounds)
    assert found.metrics["n_problems"] == 2 * rounds, "what was thrown away is described too"
