"""What the base's completions are like once some are sampled: they give a plan its expected time.

`r1 init` samples a few questions and leaves what it measured in the cache of measurements; the
first evaluation of a run measures the base as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import TypeAdapter

from r1kit.config import Recipe
from r1kit.errors import RunError
from r1kit.forecast import measured
from r1kit.runs.run_reader import read_results


@dataclass(frozen=True)
class BaseCompletions:
    """Measured completions of the base: `BaseCompletions(41.5, (0.0, 0.25, 1.0))`."""

    mean_tokens: float
    pass_rates: tuple[float, ...]
    """shares of right completions: of each question, or one of all questions"""

    def mixed(self, n: int) -> float:
        """Return the share of groups of `n` completions that have right and wrong ones.

        With the pass rate of all questions alone it is an upper bound.
        """
        return fmean(1 - rate**n - (1 - rate) ** n for rate in self.pass_rates)


def completions_of(result: Mapping[str, Any]) -> BaseCompletions | None:
    """Read the evaluation of the base, an entry of results.json; None if it lacks the numbers."""
    evaluated = result.get("evals", {}).get("reasoning", {})
    if not {"mean_tokens", "pass_at_1"} <= evaluated.keys():
        return None
    return BaseCompletions(evaluated["mean_tokens"], (evaluated["pass_at_1"],))


def known_completions(recipe: Recipe, run: Path) -> BaseCompletions | None:
    """Return what the run's own evaluation of the base has measured, or else `r1 init`."""
    try:
        base = read_results(run).get("stages", {}).get("base", {})
    except RunError:  # the run itself will refuse its damaged file
        base = {}
    return completions_of(base) or measured.read_record(_file(recipe), _COMPLETIONS)


def remember(recipe: Recipe, completions: BaseCompletions) -> None:
    """Keep a measurement for later plans of recipes with the same model and tasks."""
    measured.write_record(_file(recipe), asdict(completions))


def _file(recipe: Recipe) -> Path:
    model, tasks = recipe.model.model_dump(), [task.model_dump() for task in recipe.tasks]
    facts = [model, measured.config_of(recipe.model.path), tasks, recipe.languages]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
    return measured.cache_folder() / f"base-{key}.json"


_COMPLETIONS: TypeAdapter[BaseCompletions] = TypeAdapter(BaseCompletions)
