"""The one change that makes a recipe fit, tried in order against the same formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from r1kit.config import parse
from r1kit.errors import ConfigError
from r1kit.forecast import memory
from r1kit.forecast.hardware import GPUS
from r1kit.forecast.recipe_forecast import USABLE, Forecast
from r1kit.forecast.setting import precision
from r1kit.forecast.timings import WEIGHTS_SHARE
from r1kit.stages.context_length import sampled_lengths
from r1kit.stages.less_memory import RecipeChange, less_memory, setting_of
from r1kit.stages.plan import merge_settings

GPU_SHARES = (0.6, 0.45, 0.3, 0.2)
"""shares of a GPU that are tried for the vLLM that samples beside the learner"""
SHORTEST = 256
"""tokens of the shortest completions that are tried"""


@dataclass(frozen=True)
class Remedy:
    """Changes of a recipe, as `--set` takes them, and the forecast with them."""

    changes: tuple[str, ...]
    forecast: Forecast


def one_change(forecast: Forecast) -> Remedy | None:
    """Return the first change that makes the recipe fit; if none does, the fewest in their order.

    None if even all together do not.
    """
    n = forecast.setting.n_processes
    kinds = list(filter(None, [_smaller_server(forecast), *less_memory(forecast.recipe, n)]))
    for kind in kinds:
        for settings in kind:
            if (remedy := _tried(forecast, [settings])) is not None:
                return remedy
    strongest = [kind[-1] for kind in kinds]
    for n in range(2, len(kinds) + 1):
        if _tried(forecast, strongest[:n]) is not None:
            return _tried(forecast, _mildest(forecast, kinds[:n], strongest[:n]))
    return None


@dataclass(frozen=True)
class LengthRemedy:
    """Completions that fit, if necessary with other changes, where no change of settings does."""

    longest: int
    """tokens of the longest completion that the recipe allows"""
    max_tokens: int
    """tokens of completions that fit"""
    changes: tuple[str, ...] = ()


def shorter_completions(forecast: Forecast) -> LengthRemedy | None:
    """Return the longest completions that fit, by halving; None if even the shortest do not.

    A sequence is computed on one GPU, so that its length has a limit that no number of GPUs lifts.
    """
    longest = max(sampled_lengths(forecast.recipe).values())
    lengths = [longest >> n for n in range(1, 20) if longest >> n >= SHORTEST]
    if not lengths or _limited(forecast, lengths[-1]) is None:
        return None
    return next(filter(None, (_limited(forecast, n) for n in lengths)))


def _limited(forecast: Forecast, max_tokens: int) -> LengthRemedy | None:
    """Return what makes the recipe fit with no completion longer than that; None if nothing."""
    recipe, allowed = forecast.recipe.model_dump(), sampled_lengths(forecast.recipe)
    longest = max(allowed.values())
    for key, length in allowed.items():
        change: dict[str, Any] = {"max_tokens": min(length, max_tokens)}
        for section in reversed(key.split(".")[:-1]):
            change = {section: change}
        recipe = merge_settings(recipe, change)
    limited = forecast.with_recipe(parse(recipe, "the recipe"))
    if limited.fits:
        return LengthRemedy(longest, max_tokens)
    remedy = one_change(limited)
    return None if remedy is None else LengthRemedy(longest, max_tokens, remedy.changes)


def _smaller_server(forecast: Forecast) -> list[RecipeChange]:
    """Return smaller shares of a GPU for the vLLM of the run; its weights take 70 % at most."""
    if not forecast.server or not forecast.setting.is_gpu:
        return []
    own, gpu = precision(forecast.recipe), forecast.machine.memory
    shapes = [facts.shape for facts in forecast.setting.models.values()]
    weights = max(memory.weights(shape, own) for shape in shapes)
    options = forecast.recipe.sampler.vllm_args
    return [
        {"sampler": {"vllm_args": f"{options} --gpu-memory-utilization={share}".strip()}}
        for share in GPU_SHARES
        if weights <= WEIGHTS_SHARE * share * gpu
    ]


def _mildest(
    forecast: Forecast, kinds: Sequence[Sequence[RecipeChange]], strongest: Sequence[RecipeChange]
) -> list[RecipeChange]:
    """Drop or weaken changes that fit together, the last first, as long as they still fit."""
    chosen = list(strongest)
    for index in reversed(range(len(kinds))):
        for weaker in ({}, *kinds[index]):
            changes = [*chosen[:index], weaker, *chosen[index + 1 :]]
            if _tried(forecast, list(filter(None, changes))) is not None:
                chosen = changes
                break
    return list(filter(None, chosen))


def sufficient_gpu(forecast: Forecast) -> str | None:
    """Return the smallest known GPU whose memory suffices for one process."""
    enough = [
        gpu for gpu in GPUS.values()
        if forecast.largest.peak + forecast.server_on(gpu.memory) <= USABLE * gpu.memory
    ]  # fmt: skip
    return min(enough, key=lambda gpu: gpu.memory).name if enough else None


def _tried(forecast: Forecast, changes: Sequence[RecipeChange]) -> Remedy | None:
    """Return the recipe's forecast with these changes; None if they are not allowed or no help."""
    merged = forecast.recipe.model_dump()
    for settings in changes:
        merged = merge_settings(merged, settings)
    try:
        recipe = parse(merged, "the recipe")
    except ConfigError:
        return None
    changed = forecast
    if recipe.compute.n_processes == 1 and forecast.machine.is_shared:
        machine = replace(forecast.machine, n_processes=1)
        changed = replace(
            forecast, machine=machine, setting=replace(forecast.setting, n_processes=1)
        )
    changed = changed.with_recipe(recipe)
    options = tuple("=".join(setting_of(change)) for change in changes)
    return Remedy(options, changed) if changed.fits else None
