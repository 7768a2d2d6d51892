"""Shapes and settings with round numbers, and a cache of measurements that no test shares."""

from pathlib import Path

import pytest

from r1kit.config import ModelConfig, Recipe, parse
from r1kit.forecast.hardware import GPUS
from r1kit.forecast.machine import Machine, stated_machine
from r1kit.forecast.model_shape import ModelShape
from r1kit.forecast.recipe_forecast import Forecast
from r1kit.forecast.setting import ForecastSetting, ModelFacts
from r1kit.forecast.timings import Timings
from r1kit.forecast.workload import PromptLengths
from r1kit.stages.plan import StageSelection
from r1kit.types import Json

SHAPE = ModelShape(
    n_parameters=1000, n_matrices=600, n_active=1000, n_layers=2, hidden=8, vocab_size=50,
    kv_floats=16, layer_floats=100, wide_floats=40, cell_floats=30, outer_floats=20,
    max_positions=512,
)  # fmt: skip
TIMINGS = Timings(
    prefill_token=0.001, decode_step=0.1, decode_row=0.01, decode_key=0.0001, learn_token=0.002,
    update=0.5,
)  # fmt: skip
ROUND: Json = {
    "name": "round",
    "tasks": [{"name": "arithmetic"}],
    "model": {"path": "somewhere"},
    "zero": {"n_steps": 10, "n_problems": 4, "n_completions": 8, "max_tokens": 20},
    "eval": {"n_problems": 10, "max_tokens": 20},
    "compute": {"n_processes": 1, "micro_batch_tokens": 100},
    "cost": {"gpu_hour": 3.6},
    "sampler": {},
}
"""completions of 20 tokens after prompts of 10: three sequences are in a micro-batch of 100"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def setting(recipe: Recipe, shape: ModelShape = SHAPE) -> ForecastSetting:
    facts = ModelFacts(ModelConfig(path="somewhere"), shape, TIMINGS, PromptLengths(10, 12), 5000.0)
    return ForecastSetting(recipe, 1, {"": facts}, is_gpu=True)


def made(changes: Json, memory: float, shape: ModelShape = SHAPE) -> Forecast:
    """The forecast of the round recipe with changed sections, for a GPU of `memory` bytes."""
    recipe = parse(
        {key: {**value, **changes.get(key, {})} if isinstance(value, dict) else value
         for key, value in ROUND.items()}, "round",
    )  # fmt: skip
    gpu = stated_machine(GPUS["h100"], 1, recipe.cost)
    machine = Machine(**{**vars(gpu), "memory": memory})
    return Forecast(recipe, machine, setting(recipe, shape), (), StageSelection()).with_recipe(
        recipe
    )
