"""What the forecasts of all stages share: the recipe, its models, and how they are used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from r1kit.config import ModelConfig, Recipe, RLConfig
from r1kit.forecast import memory
from r1kit.forecast.base_completions import BaseCompletions
from r1kit.forecast.memory import Precision
from r1kit.forecast.model_shape import ModelShape
from r1kit.forecast.timings import Timings
from r1kit.forecast.workload import PromptLengths

MAIN = ""
"""name of the main model; the others are students"""


EULER = 0.577
"""Euler's constant"""


@dataclass(frozen=True)
class ModelFacts:
    """One model of the recipe as the forecast needs it."""

    config: ModelConfig
    shape: ModelShape
    timings: Timings
    prompts: PromptLengths
    program: float


@dataclass(frozen=True)
class ForecastSetting:
    """Everything a stage's forecast depends on besides the stage."""

    recipe: Recipe
    n_processes: int
    models: Mapping[str, ModelFacts]
    """the main model under "", students under their names"""
    length_share: float = 1.0
    """tokens per completion, as a share of max_tokens"""
    is_gpu: bool = False
    completions: BaseCompletions | None = None
    """measured completions of the base, for an expected time; None: the most that is possible"""

    @property
    def n_shards(self) -> int:
        """Number of processes that a model in training is sharded over."""
        return n_shards(self.recipe, self.n_processes)

    def length(self, max_tokens: int) -> float:
        """Return the mean tokens per completion."""
        if self.completions is not None:
            return max(1.0, min(max_tokens, self.completions.mean_tokens))
        return max(1.0, max_tokens * self.length_share)

    def longest(self, max_tokens: int, n: int) -> float:
        """Return the tokens of the longest of `n` completions.

        Lengths are taken to be exponentially distributed, so that the longest is as long as the
        mean times the harmonic number of n, about ln n + 0.577.
        """
        if self.completions is None:
            return max_tokens
        return min(max_tokens, self.length(max_tokens) * (math.log(max(n, 1)) + EULER))

    def n_rounds(self, config: RLConfig) -> int:
        """Return the rounds of sampling in a step; dynamic sampling stops with enough groups."""
        if not config.dynamic_sampling:
            return 1
        mixed = 0.0 if self.completions is None else self.completions.mixed(config.n_completions)
        return math.ceil(min(config.dynamic_rounds, 1 / mixed)) if mixed else config.dynamic_rounds


def n_shards(recipe: Recipe, n_processes: int) -> int:
    """Return the number of processes that a model in training is sharded over."""
    stated = recipe.compute.data_parallel_shard_degree
    return n_processes if stated < 1 else min(stated, n_processes)


def precision(recipe: Recipe, is_fp32: bool = False) -> Precision:
    """Return the bytes per number of the policy; new bases and reward models train in fp32."""
    if is_fp32 or recipe.compute.dtype == "float32":
        return Precision()
    return Precision(weight=2, master=memory.FP32)
