"""`r1 init`: a commented recipe for one's own model and questions, which fits this machine.

It trains R1-Zero: reinforcement learning from the model as it is. Sizes are the largest of a list
whose step takes no longer than a minute, and as many steps as the hours allow, by the formulas of
`r1 plan`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.config import Recipe, parse
from r1kit.errors import ConfigError
from r1kit.forecast.recipe_forecast import Forecast, forecast
from r1kit.forecast.remedy import one_change
from r1kit.forecast.show import advice, span
from r1kit.model.find import find_model
from r1kit.tasks import mix
from r1kit.tasks.base import Task
from r1kit.tasks.file_task import PUBLIC, FileTask

SIZES = ((32, 16), (16, 16), (16, 8), (8, 8), (4, 8))
"""problems per step and completions per problem, the largest first"""
STEP_S = 60.0
"""longest step, unless the smallest size takes longer"""
MAX_TOKENS, MAX_TOKENS_GPU = 256, 1024
FEWEST_STEPS, MOST_STEPS = 20, 400
RATES = ((300e6, 1e-5), (1.2e9, 5e-6), (float("inf"), 2e-6))
"""learning rates up to a number of weights: 1e-5 lets SmolLM2-135M learn, R1 used 3e-6"""
COUNTED, RARE = 200, 0.05
"""questions whose languages are counted; share of them below which a language is left out"""
HELD_OUT, HELD_OUT_GPU = 64, 200
"""held-out questions of an evaluation, at most"""


@dataclass(frozen=True)
class NewRecipe:
    """A recipe that was made for a model and its data."""

    text: str
    """the file, as TOML with comments"""
    forecast: Forecast
    train: Task
    n_train: int
    n_held_out: int


def new_recipe(
    model: str,
    data: str,
    name: str,
    hours: float,
    max_tokens: int | None = None,
    on_measured: Callable[[int, int], None] | None = None,
) -> NewRecipe:
    """Make a recipe for a model and a file or data set of questions.

    Raises an R1Error if one of them cannot be read, or if nothing makes the recipe fit.
    """
    find_model(model)
    settings = _settings(model, data, name, max_tokens)
    settings["languages"] = _languages(_task(settings, "train"))
    train, held_out = (_task(settings, split) for split in ("train", "held_out"))
    settings["eval"]["n_problems"] = min(HELD_OUT, _n_questions(held_out))
    made = forecast(parse(settings, "the recipe"), on_measured=on_measured)
    if not made.machine.is_shared:
        settings["compute"]["dtype"] = "bfloat16"
        settings["eval"]["n_problems"] = min(HELD_OUT_GPU, _n_questions(held_out))
        settings["zero"]["max_tokens"] = max_tokens or MAX_TOKENS_GPU
        made = forecast(parse(settings, "the recipe"), on_measured=on_measured)
    made = _fitting(_sized(made, hours))
    text = as_toml(made, data, train)
    return NewRecipe(text, made, train, _n_questions(train), _n_questions(held_out))


def _settings(model: str, data: str, name: str, max_tokens: int | None) -> dict[str, Any]:
    task = {"name": data} if data in PUBLIC else {"path": data}
    return {
        "name": name,
        "languages": ["en"],
        "tasks": [task],
        "model": {"path": model},
        "zero": {
            "max_tokens": max_tokens or MAX_TOKENS,
            "updates_per_step": 2,
            "loss_type": "dapo",
            "epsilon_high": 0.28,
        },
        "eval": {"temperature": 0.6, "top_p": 0.95, "max_tokens": max_tokens or MAX_TOKENS},
        "compute": {},
    }


def _task(settings: dict[str, Any], split: Any) -> Task:
    [task] = mix.load_tasks(parse(settings, "the recipe"), split).tasks
    return task


def _languages(task: Task) -> list[str]:
    """Return the languages of the first questions, the most frequent first."""
    n = min(COUNTED, _n_questions(task))
    counts = Counter(task.problem(index).language for index in range(n))
    return [language for language, count in counts.most_common() if count >= RARE * n]


def _n_questions(task: Task) -> int:
    assert isinstance(task, FileTask)
    return len(task.questions)


def _sized(made: Forecast, hours: float) -> Forecast:
    """Choose the largest step of the list that is short enough, and the number of steps."""
    for n_problems, n_completions in SIZES:
        made = _changed(made, {"n_problems": n_problems, "n_completions": n_completions})
        if made.stages[-1].step_s <= STEP_S and made.fits:
            break
    zero = made.stages[-1]
    n_steps = int((3600 * hours - 2 * zero.evaluate_s) / zero.step_s)
    n_parameters = made.setting.models[""].shape.n_parameters
    lr = next(rate for most, rate in RATES if n_parameters <= most)
    return _changed(
        made,
        {"n_steps": max(FEWEST_STEPS, min(MOST_STEPS, n_steps)), "optim": {"lr": lr}},
    )


def _changed(made: Forecast, zero: dict[str, Any]) -> Forecast:
    section = type(made.recipe.zero).model_validate(made.recipe.zero.model_dump() | zero)
    return made.with_recipe(made.recipe.model_copy(update={"zero": section}))


def _fitting(made: Forecast) -> Forecast:
    """Apply the change that makes the recipe fit. Raises ConfigError if there is none."""
    if made.fits:
        return made
    remedy = one_change(made)
    if remedy is None:
        raise ConfigError(f"Training this model does not fit into this machine: {advice(made)}.")
    return remedy.forecast


def as_toml(made: Forecast, data: str, train: Task) -> str:
    """Write the recipe with a comment for every setting one may want to change."""
    recipe, zero = made.recipe, made.recipe.zero
    task = f"name = {_text(data)}" if data in PUBLIC else f"path = {_text(data)}"
    verifier = train.verifier.name if isinstance(train, FileTask) else ""
    return f"""\
# R1-Zero on {_comment(recipe.model.path or "")} with the questions of {_comment(data)}.
# Takes: {span(made.seconds)} at most on {made.machine.name}, by `r1 plan`.
# Needs: {made.machine.needs(made.largest.peak) / 1e9:.1f} GB of memory, \
{made.disk / 1e9:.1f} GB of disk.

name = {_text(recipe.name)}
languages = {json.dumps(list(recipe.languages))} # of the questions: en, ko, zh

# Questions with final answers, verified as {verifier}. One in ten is held out to measure the model:
# held_out = "test.jsonl" names a file for that. `columns` maps columns that are not recognised.
[[tasks]]
{task}

[model]
path = {_text(recipe.model.path or "")}

# R1-Zero: sample {zero.n_completions} completions of each of {zero.n_problems} problems, \
reward them by rules, learn, repeat.
# A completion that needs more than max_tokens is cut and wrong. If all completions of a problem are
# right, or all wrong, nothing is learned from it: the best questions are neither easy nor hopeless.
# About 30 steps show whether the reward grows, a few hundred how far it goes.
[zero]
n_steps = {zero.n_steps}
n_problems = {zero.n_problems}
n_completions = {zero.n_completions}
max_tokens = {zero.max_tokens}
updates_per_step = {zero.updates_per_step}
loss_type = "{zero.loss_type}"
epsilon_high = {zero.epsilon_high}
optim = {{ lr = {zero.optim.lr} }} # lower it if the reward falls

[eval]
n_problems = {recipe.eval.n_problems}
temperature = {recipe.eval.temperature}
top_p = {recipe.eval.top_p}
max_tokens = {recipe.eval.max_tokens}
{_machine(recipe)}"""


def _machine(recipe: Recipe) -> str:
    """Write the settings of `[compute]` and `[sampler]` that differ from their defaults."""
    parts = []
    for name in ("compute", "sampler"):
        section = getattr(recipe, name)
        default = type(section)()
        lines = [
            f"{key} = {json.dumps(value)}"
            for key, value in section.model_dump().items()
            if value != getattr(default, key)
        ]
        if lines:
            parts.append("\n".join(["", f"[{name}]", *lines, ""]))
    return "".join(parts)


def _text(value: str) -> str:
    """Write a TOML string. Raises ConfigError if the text cannot be in a file."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{value!r} cannot be written into a recipe; rename it.") from None
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(value: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", value)


def name_of(model: str) -> str:
    """Return a name for the recipe: `SmolLM2-135M` → `smollm2-135m-zero`."""
    last = re.sub(r"[^a-z0-9.-]+", "-", Path(model).name.lower()).strip("-.") or "model"
    return f"{last[:40]}-zero"
