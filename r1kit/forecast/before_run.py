"""The forecast that a long run prints before it begins."""

from __future__ import annotations

import math
from pathlib import Path

import psutil

from r1kit.config import ModelConfig, Recipe
from r1kit.forecast.model_shape import ModelShape, approximate_parameters
from r1kit.forecast.recipe_forecast import models_of
from r1kit.forecast.setting import ForecastSetting, ModelFacts
from r1kit.forecast.stage_forecast import forecast_stage
from r1kit.forecast.timings import Timings
from r1kit.forecast.workload import PromptLengths
from r1kit.stages.plan import StageSelection, plan

LONG_S = 300.0
"""a run that takes this long begins with its forecast"""
CORE_FLOPS = 20e9
"""FLOP/s of a core that are assumed for the guess"""
CALL_S = 2e-4
"""seconds of a decoding step or an update of the smallest model"""
UNKNOWN_PARAMETERS = 10**9
"""weights that are assumed for a model that is not on this machine yet"""
PROMPT = 48


def is_long(recipe: Recipe, selection: StageSelection) -> bool:
    """Guess whether the selected stages take minutes, in a millisecond: torch is not needed."""
    n = recipe.compute.n_processes
    n_processes = psutil.cpu_count(logical=False) or 1 if n == "auto" else n
    models = {name: _guessed(model) for name, model in models_of(recipe).items()}
    setting = ForecastSetting(recipe, n_processes, models)
    stages = [stage for stage in plan(recipe) if stage.name in selection]
    return sum(forecast_stage(stage, setting).seconds for stage in stages) > LONG_S


def _guessed(model: ModelConfig) -> ModelFacts:
    n = _n_parameters(model)
    shape = ModelShape(n, n, n, model.n_layers, model.hidden, model.vocab_size, 0, 0, 0, 0, 0)
    per_token = 2 * n / CORE_FLOPS
    timings = Timings(per_token, CALL_S, per_token, 0.0, 3 * per_token, CALL_S + per_token)
    return ModelFacts(model, shape, timings, PromptLengths(PROMPT, PROMPT), 0.0)


def _n_parameters(model: ModelConfig) -> int:
    if model.path is None:
        share = model.n_kv_heads / model.n_heads
        return approximate_parameters(
            model.vocab_size, model.hidden, model.intermediate, model.n_layers, share
        )
    try:
        files = Path(model.path).expanduser().glob("*.safetensors")
        n_bytes = sum(file.stat().st_size for file in files)
    except OSError:
        n_bytes = 0
    return math.ceil(n_bytes / 4) or UNKNOWN_PARAMETERS
