"""What the forecasts of all stages share: the recipe, its models, and how they are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from r1kit.config import ModelConfig, Recipe
from r1kit.forecast import memory
from r1kit.forecast.memory import Precision
from r1kit.forecast.model_shape import ModelShape
from r1kit.forecast.timings import Timings
from r1kit.forecast.workload import PromptLengths

MAIN = ""
"""name of the main model; the others are students"""


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

    @property
    def n_shards(self) -> int:
        """Number of processes that a model in training is sharded over."""
        stated = self.recipe.compute.data_parallel_shard_degree
        return self.n_processes if stated < 1 else min(stated, self.n_processes)

    def length(self, max_tokens: int) -> float:
        return max(1.0, max_tokens * self.length_share)


def precision(recipe: Recipe, is_fp32: bool = False) -> Precision:
    """Return the bytes per number of the policy; new bases and reward models train in fp32."""
    if is_fp32 or recipe.compute.dtype == "float32":
        return Precision()
    return Precision(weight=2, master=memory.FP32)
