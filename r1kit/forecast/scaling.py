"""The scaling model: a recipe on fewer and more GPUs. Computed by formula, and not measured.

A number of GPUs has the same formulas as one (memory.py, timings.py): the work is split, weights
are whole on every GPU or sharded over all, and communication adds to the time of computation.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.config import Recipe
from r1kit.forecast.recipe_forecast import Forecast
from r1kit.forecast.stage_parts import StageForecast

WHOLE, ALL = 1, -1
"""values of compute.data_parallel_shard_degree"""


@dataclass(frozen=True)
class ScalingRow:
    """A recipe on a number of GPUs. Without a time it does not fit."""

    n_gpus: int
    whole: float
    """bytes of a GPU that holds all weights"""
    sharded: float | None
    """bytes of a GPU that holds a part; None if there is one GPU, or the recipe refuses it"""
    is_sharded: bool
    step_s: float | None = None
    """seconds of a step of the stage that takes longest"""
    seconds: float | None = None
    price: float | None = None
    efficiency: float | None = None
    """GPU-hours of the smallest number that fits, relative to those of this one"""


def scaling(forecast: Forecast) -> list[ScalingRow]:
    """Return the recipe on 1, 2, 4, ... GPUs and on the stated number; [] for this machine."""
    if forecast.hardware is None:
        return []
    count = forecast.hardware.count
    numbers = sorted({*(2**i for i in range(count.bit_length())), count})
    rows: list[ScalingRow] = []
    for n in numbers:
        cheapest = next((row for row in rows if row.seconds is not None), None)
        rows.append(_row(forecast, n, cheapest))
    return rows


def longest(forecast: Forecast) -> StageForecast:
    """Return the stage that takes longest, of those with steps if there are any."""
    return max(forecast.stages, key=lambda stage: (stage.n_steps > 0, stage.seconds))


def _row(forecast: Forecast, n: int, first: ScalingRow | None) -> ScalingRow:
    stated = forecast.recipe.compute.data_parallel_shard_degree
    whole = forecast.on(n, WHOLE)
    can_shard = n > 1 and not _refuses_shards(forecast.recipe)
    sharded = forecast.on(n, ALL if stated == WHOLE else stated) if can_shard else None
    wants_shards = sharded is not None and (stated != WHOLE or not whole.fits)
    used = sharded if wants_shards and sharded is not None else whole
    own = ScalingRow(n, whole.needed, None if sharded is None else sharded.needed, used is sharded)
    if not used.fits:
        return own
    hours, first_hours = n * used.seconds, n * used.seconds
    if first is not None and first.seconds is not None:
        first_hours = first.n_gpus * first.seconds
    return ScalingRow(
        n, own.whole, own.sharded, own.is_sharded, longest(used).step_s, used.seconds, used.price,
        first_hours / hours,
    )  # fmt: skip


def _refuses_shards(recipe: Recipe) -> bool:
    stages = (recipe.zero, recipe.reasoning, recipe.final)
    return any(stage.optim.optimizer == "adamw8bit" for stage in stages if stage is not None)
