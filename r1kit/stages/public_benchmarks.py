"""The public benchmarks of a recipe, `[[evals]]`, with the loaders and graders of `r1 eval`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from r1kit.config import BenchmarkConfig, Recipe
from r1kit.errors import ConfigError
from r1kit.evals.benchmark import Benchmark
from r1kit.evals.graders import GRADERS
from r1kit.evals.load import load_set
from r1kit.evals.protocols import find_protocol
from r1kit.evals.suite import find_benchmarks
from r1kit.renderers.base import Renderer
from r1kit.types import SamplingParams

OWN_NAMES = ("reasoning", "general")
"""names of the recipe's own benchmarks in results.json"""


def public_benchmarks(recipe: Recipe) -> Iterator[Benchmark]:
    """Yield the benchmarks of `[[evals]]`. Raises ConfigError or DataError if one cannot be had."""
    names = [config.name for config in recipe.evals]
    for config in recipe.evals:
        if names.count(config.name) > 1 or config.name in OWN_NAMES:
            raise ConfigError(f"evals: {config.name!r} is there twice; give each name one entry.")
        yield _benchmark(config, recipe.eval.max_tokens)


def _benchmark(config: BenchmarkConfig, max_tokens: int) -> Benchmark:
    [spec, *others], optional = find_benchmarks(config.name)
    if others or optional:
        raise ConfigError(f"evals: {config.name!r} is a suite; name one benchmark per entry.")
    if spec.grader not in GRADERS:
        raise ConfigError(f"evals: {spec.name} needs a judge; measure it with `r1 eval --judge`.")
    protocol, grader = find_protocol(config.protocol), GRADERS[spec.grader]
    eval_set = load_set(spec, None if config.data is None else Path(config.data))
    sampling = SamplingParams(config.max_tokens or max_tokens, protocol.temperature, protocol.top_p)
    problems = eval_set.prompted(protocol, config.limit)
    verify = partial(grader.verify, policy=protocol.policy)
    return Benchmark(spec.name, problems, verify, sampling, config.samples, grader.has_votes)


def fitting(benchmark: Benchmark, renderer: Renderer, max_positions: int | None) -> Benchmark:
    """Return the benchmark with problems and max_tokens that the model's context has room for."""
    if max_positions is None:
        return benchmark
    sizes = [len(renderer.render_prompt(problem.messages)) for problem in benchmark.problems]
    pairs = zip(benchmark.problems, sizes, strict=True)
    half = max_positions // 2  # a longer prompt would leave too little room for all the others
    problems = [problem for problem, size in pairs if size <= half]
    room = max_positions - max((size for size in sizes if size <= half), default=0)
    sampling = replace(benchmark.sampling, max_tokens=min(benchmark.sampling.max_tokens, room))
    return replace(benchmark, problems=problems, sampling=sampling)
