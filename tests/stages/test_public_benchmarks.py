"""The public benchmarks of a recipe are those of `r1 eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1kit import config
from r1kit.config import Recipe
from r1kit.errors import ConfigError, DataError
from r1kit.evals.load import load_set
from r1kit.evals.protocols import PROTOCOLS
from r1kit.evals.suite import BENCHMARKS
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.stages.public_benchmarks import fitting, public_benchmarks
from r1kit.types import SamplingParams
from tests.evals.rows import write

SMOKE = config.load(Path(__file__).parents[2] / "recipes" / "smoke.toml")


def recipe(*evals: dict[str, Any]) -> Recipe:
    return config.parse({**SMOKE.model_dump(mode="json", exclude_none=True), "evals": evals}, "r")


def test_a_benchmark_has_the_problems_prompts_and_grader_of_the_suite(tmp_path: Path) -> None:
    entry = {"name": "gsm8k", "data": str(write(tmp_path)), "limit": 2, "samples": 3}
    [benchmark] = public_benchmarks(recipe(entry))
    expected = load_set(BENCHMARKS["gsm8k"], tmp_path).prompted(PROTOCOLS["r1-paper"], 2)
    assert benchmark.problems == expected
    assert (benchmark.n_completions, benchmark.sampling) == (3, SamplingParams(96, 0.6, 0.95))
    problem = benchmark.problems[0]
    assert benchmark.verify(problem, f"\\boxed{{{problem.answer}}}").correct
    assert not benchmark.verify(problem, "\\boxed{77}").correct


def test_a_short_context_limits_the_completions_and_drops_long_prompts(tmp_path: Path) -> None:
    entry = {"name": "math500", "data": str(write(tmp_path)), "max_tokens": 5000}
    [benchmark] = public_benchmarks(recipe(entry))
    texts = [problem.messages[-1].content for problem in benchmark.problems]
    renderer = renderer_of(train_tokenizer(texts * 4, 300))
    sizes = [len(renderer.render_prompt(problem.messages)) for problem in benchmark.problems]
    whole = fitting(benchmark, renderer, 2 * max(sizes))
    assert whole.problems == benchmark.problems
    assert whole.sampling.max_tokens == max(sizes)
    short = fitting(benchmark, renderer, 2 * max(sizes) - 2)
    assert len(short.problems) == sum(size < max(sizes) for size in sizes)
    assert fitting(benchmark, renderer, None) == benchmark


def test_what_cannot_be_had_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for entries, error, sentence in (
        ([{"name": "gsm9k"}], ConfigError, "no benchmark"),
        ([{"name": "math"}], ConfigError, "is a suite"),
        ([{"name": "world"}, {"name": "world"}], ConfigError, "twice"),
        ([{"name": "aime24", "data": str(tmp_path)}], DataError, "hf download"),
    ):
        with pytest.raises(error, match=sentence):
            list(public_benchmarks(recipe(*entries)))


def test_recipes_without_the_section_keep_their_hash() -> None:
    with_some = recipe({"name": "world"})
    assert recipe().hash() == SMOKE.hash()
    assert with_some.hash() != SMOKE.hash()
