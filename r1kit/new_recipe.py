"""`r1 init`: a commented recipe for one's own model and questions, which fits this machine.

It trains R1-Zero: reinforcement learning from the model as it is. A few questions are sampled from
the model first: they say how hard the data is for it, how long its completions are, and whether it
writes its thinking in tags. Sizes are the largest of a list whose step takes no longer than a
minute, and as many steps as the hours allow, by the formulas of `r1 plan`.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from r1kit.config import ModelConfig, Recipe, TaskConfig, parse
from r1kit.errors import ComputeError, ConfigError
from r1kit.forecast.base_completions import remember
from r1kit.forecast.recipe_forecast import Forecast, forecast
from r1kit.forecast.remedy import one_change
from r1kit.forecast.show import advice, span
from r1kit.forecast.stage_parts import StageForecast
from r1kit.model.devices import has_bf16_matrices, resolve_device
from r1kit.model.find import find_model
from r1kit.tasks import mix
from r1kit.tasks.base import Task
from r1kit.tasks.file_task import FileTask
from r1kit.tasks.options import task_toml, toml_text

if TYPE_CHECKING:
    from r1kit.forecast.base_sample import BaseSample

SIZES = ((32, 16), (16, 16), (16, 8), (8, 8), (4, 8))
"""problems per step and completions per problem, the largest first"""
STEP_S = 60.0
"""longest step, unless the smallest size takes longer"""
MAX_TOKENS, MAX_TOKENS_GPU = 256, 1024
FEWEST_STEPS, MOST_STEPS = 20, 400
MUCH_LONGER = 1.3
"""share of the hours from which a recipe is said to take longer than they allow"""
RATES = ((300e6, 1e-5), (1.2e9, 5e-6), (float("inf"), 2e-6))
"""learning rates up to a number of weights: 1e-5 lets SmolLM2-135M learn, R1 used 3e-6"""
COUNTED, RARE = 200, 0.05
"""questions whose languages are counted; share of them below which a language is left out"""
HELD_OUT, HELD_OUT_GPU = 64, 200
"""held-out questions of an evaluation, at most"""


PLAIN = {
    "en": "Put the final answer in \\boxed{}.",
    "ko": "최종 답을 \\boxed{}에 쓰세요.",
    "zh": "请把最终答案写在 \\boxed{} 中。",
}
"""language → instruction for a model that writes no thinking tags"""


@dataclass(frozen=True)
class InitWatch:
    """Functions that show the progress of `r1 init`."""

    sampled: Callable[[int, int], None] = lambda n_done, n: None
    """number of sampled questions, and of all"""
    measured: Callable[[int, int], None] = lambda n_done, n: None
    """number of measured models, and of all"""
    note: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class NewRecipe:
    """A recipe that was made for a model and its data."""

    text: str
    """the file, as TOML with comments"""
    forecast: Forecast
    train: Task
    n_train: int
    n_held_out: int
    sample: BaseSample | None
    """completions of the base; None if it was not sampled"""


def new_recipe(
    model: str,
    data: TaskConfig,
    name: str,
    hours: float,
    max_tokens: int | None = None,
    is_sampled: bool | None = None,
    watch: InitWatch | None = None,
) -> NewRecipe:
    """Make a recipe for a model and its questions.

    `is_sampled` says whether the base is sampled; None: if its weights are on this machine. Raises
    an R1Error if model or data cannot be read, or if nothing makes the recipe fit.
    """
    watch = watch or InitWatch()
    location = find_model(model)
    settings = _settings(model, data, name, max_tokens)
    settings["languages"] = _languages(_task(settings, "train"))
    train, held_out = (_task(settings, split) for split in ("train", "held_out"))
    settings["eval"]["n_problems"] = min(HELD_OUT, _n_questions(held_out))
    sample = None
    if _has_weights(location) if is_sampled is None else is_sampled:
        sample = _sample(settings, max_tokens, watch)
    elif is_sampled is None:
        watch.note("The model's weights are not on this machine: --sample downloads and tries it.")
    completions = None if sample is None else sample.completions()

    def forecast_of(settings: dict[str, Any]) -> Forecast:
        recipe = parse(settings, "the recipe")
        return forecast(recipe, completions=completions, on_measured=watch.measured)

    made = forecast_of(settings)
    if not made.machine.is_shared:
        settings["compute"]["dtype"] = "bfloat16"
        settings["eval"]["n_problems"] = min(HELD_OUT_GPU, _n_questions(held_out))
        if sample is None:
            _set_max_tokens(settings, max_tokens or MAX_TOKENS_GPU)
        made = forecast_of(settings)
    made = _fitting(_sized(made, hours))
    if completions is not None:
        remember(made.recipe, completions)
    if (seconds := (made.expected or made).seconds) > MUCH_LONGER * 3600 * hours:
        watch.note(
            f"{made.recipe.zero.n_steps} steps, the fewest that can show something, take "
            f"{span(seconds)} on this machine, longer than the {span(3600 * hours)} of --hours."
        )
    text = as_toml(made, data, train, sample)
    return NewRecipe(text, made, train, _n_questions(train), _n_questions(held_out), sample)


def _has_weights(location: Path | str) -> bool:
    """Return True if the weights of a model are on this machine."""
    if isinstance(location, Path):
        return True
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(location, name), str) for name in names)


def _sample(
    settings: dict[str, Any], max_tokens: int | None, watch: InitWatch
) -> BaseSample | None:
    """Sample the base and fit the settings to its completions; None if it does not fit in memory.

    A model that never writes thinking tags, although it is asked to, is tried without that.
    """
    from r1kit.forecast.base_sample import N_PROBLEMS, OpenBase

    recipe = parse(settings, "the recipe")
    try:
        base = OpenBase(recipe)
    except ComputeError as error:
        watch.note(f"The base is not sampled. {error}")
        return None
    most = max_tokens or base.max_tokens

    def sample(model: ModelConfig) -> BaseSample:
        watch.sampled(0, N_PROBLEMS)
        return base.sample(model, most, lambda n: watch.sampled(n, N_PROBLEMS))

    sampled = sample(recipe.model)
    if base.is_asked_to_think and not sampled.n_well_formed:
        watch.note("It never writes <think>: it is tried with a request for the answer alone.")
        language = settings["languages"][0] if len(settings["languages"]) == 1 else "en"
        plain = recipe.model.model_copy(update={"instruction": PLAIN[language]})
        answered = sample(plain)
        if answered.n_right >= sampled.n_right:
            sampled = answered
            settings["model"]["instruction"] = plain.instruction
            settings["zero"]["rewards"] = {"format": 0.0}
    _set_max_tokens(settings, max_tokens or sampled.fitting_max_tokens())
    return sampled


def _set_max_tokens(settings: dict[str, Any], max_tokens: int) -> None:
    settings["zero"]["max_tokens"] = settings["eval"]["max_tokens"] = max_tokens


def _settings(model: str, data: TaskConfig, name: str, max_tokens: int | None) -> dict[str, Any]:
    device = torch.device(resolve_device())
    return {
        "name": name,
        "languages": ["en"],
        "tasks": [data.model_dump(exclude_unset=True)],
        "model": {"path": model},
        "zero": {
            "max_tokens": max_tokens or MAX_TOKENS,
            "updates_per_step": 2,
            "loss_type": "dapo",
            "epsilon_high": 0.28,
        },
        "eval": {"temperature": 0.6, "top_p": 0.95, "max_tokens": max_tokens or MAX_TOKENS},
        "compute": {"dtype": "bfloat16"} if has_bf16_matrices(device) else {},
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
        if _zero_of(made).step_s <= STEP_S and made.fits:
            break
    zero = _zero_of(made)
    n_steps = int((3600 * hours - 2 * zero.evaluate_s) / zero.step_s)
    n_parameters = made.setting.models[""].shape.n_parameters
    lr = next(rate for most, rate in RATES if n_parameters <= most)
    return _changed(
        made,
        {"n_steps": max(FEWEST_STEPS, min(MOST_STEPS, n_steps)), "optim": {"lr": lr}},
    )


def _zero_of(made: Forecast) -> StageForecast:
    """Return the expected stage `zero`, or its bound if the base is not sampled."""
    return (made.expected or made).stages[-1]


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


def as_toml(made: Forecast, data: TaskConfig, train: Task, sample: BaseSample | None) -> str:
    """Write the recipe with a comment for every setting one may want to change."""
    recipe, zero = made.recipe, made.recipe.zero
    verifier = train.verifier.name if isinstance(train, FileTask) else ""
    seconds = (made.expected or made).seconds
    bound = "" if made.expected else " at most"
    return f"""\
# R1-Zero on {_comment(recipe.model.path or "")} with the questions of \
{_comment(data.path or data.name or "")}.
# Takes: {span(seconds)}{bound} on {made.machine.name}, by `r1 plan`.
# Needs: {made.needed / 1e9:.1f} GB of memory, \
{made.disk / 1e9:.1f} GB of disk.

name = {toml_text(recipe.name)}
languages = {json.dumps(list(recipe.languages))} # of the questions: en, ko, zh

# Questions with final answers, verified as {verifier}. One in ten is held out to measure the model:
# held_out = "test.jsonl" names a file for that. `columns` maps columns that are not recognised.
{task_toml(data)}

[model]
path = {toml_text(recipe.model.path or "")}
{_instruction(recipe)}
{_sampled_comment(sample)}\
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
{_rewards(recipe)}
[eval]
n_problems = {recipe.eval.n_problems}
temperature = {recipe.eval.temperature}
top_p = {recipe.eval.top_p}
max_tokens = {recipe.eval.max_tokens}
{_machine(recipe)}"""


def _instruction(recipe: Recipe) -> str:
    if recipe.model.instruction is None:
        return ""
    return (
        "# It writes no <think> when asked to, and what it never writes cannot be rewarded: it is\n"
        "# asked for the answer alone, and what it writes before that is its thinking.\n"
        f"instruction = {toml_text(recipe.model.instruction)}\n"
    )


def _rewards(recipe: Recipe) -> str:
    rewards = recipe.zero.rewards
    if rewards.format:
        return ""
    return f"rewards = {{ accuracy = {rewards.accuracy}, format = {rewards.format} }}\n"


def _sampled_comment(sample: BaseSample | None) -> str:
    if sample is None:
        return ""
    lines = textwrap.wrap(f"The base before training: {sample.numbers()}. {sample.meaning()}", 98)
    return "".join(f"# {line}\n" for line in lines) + "\n"


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


def _comment(value: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", value)


def name_of(model: str) -> str:
    """Return a name for the recipe: `SmolLM2-135M` → `smollm2-135m-zero`."""
    last = (
        re.sub(r"[^a-z0-9.-]+", "-", Path(model).name.lower().removesuffix(".gguf")).strip("-.")
        or "model"
    )
    return f"{last[:40]}-zero"
