"""The benchmarks of a stage, as the recipe describes them."""

from pathlib import Path

from r1kit import config
from r1kit.config import Recipe
from r1kit.model.ranks import Ranks
from r1kit.stages import evaluation
from r1kit.stages.context import Context
from r1kit.types import SamplingParams

WHOLE = config.load(
    Path(__file__).parents[2] / "recipes" / "rehearsal.toml",
    ["eval.n_problems=9", "eval.n_general=5", "eval.n_completions=3", "eval.temperature=0.6",
     "eval.top_p=0.95", "eval.max_tokens=50"],
)  # fmt: skip


def context(recipe: Recipe = WHOLE) -> Context:
    return Context(recipe, Ranks(), None, None)


def names(recipe: Recipe, stage: str) -> list[str]:
    return [benchmark.name for benchmark in evaluation.benchmarks(context(recipe), stage)]


def test_students_and_recipes_without_conversation_are_measured_on_reasoning_alone() -> None:
    assert names(WHOLE, "zero") == names(WHOLE, "ablation/judged") == ["reasoning", "general"]
    assert names(WHOLE, "distill/qwen") == names(WHOLE, "distill/qwen/zero") == ["reasoning"]
    assert names(WHOLE.model_copy(update={"general": None}), "zero") == ["reasoning"]


def test_benchmarks_are_distinct_held_out_problems_sampled_as_the_recipe_says() -> None:
    reasoning, general = evaluation.benchmarks(context(), "zero")
    assert (len(reasoning.problems), len(general.problems)) == (9, 5)
    for benchmark in (reasoning, general):
        assert len({problem.id for problem in benchmark.problems}) == len(benchmark.problems)
        assert (benchmark.n_completions, benchmark.sampling) == (3, SamplingParams(50, 0.6, 0.95))
    assert {problem.task for problem in general.problems} == {"general"}
    assert {problem.task for problem in reasoning.problems} == {"equation", "arithmetic"}
    assert (reasoning.has_votes, general.has_votes) == (True, False)
    for problem in reasoning.problems:
        assert reasoning.verify(problem, f"\\boxed{{{problem.answer}}}").correct
        assert not reasoning.verify(problem, "").correct


def test_seeds_differ_from_those_of_training() -> None:
    assert evaluation.eval_seed(context()) == WHOLE.seed + 7_777
