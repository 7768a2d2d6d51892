"""Check the data files of a recipe before a run, so that hours of work do not end at a bad row."""

from __future__ import annotations

from r1kit.config import GeneralConfig, Recipe
from r1kit.curate import read_conversations
from r1kit.curate.conversations import check_conversations
from r1kit.errors import ConfigError
from r1kit.stages.plan import HELPFUL, is_students_alone, needs_reward_models, preference_sources
from r1kit.stages.public_benchmarks import public_benchmarks
from r1kit.tasks import mix
from r1kit.tasks.general import General
from r1kit.tasks.general.preference_file import example_file, label_of, pair_of

ANSWERED = (
    "The general prompts come from files and have no rules: their accuracy is the share of prompts "
    "that got an answer."
)


def check_data(recipe: Recipe) -> list[str]:
    """Return notes on rows that are left out.

    Raises an R1Error for files that are missing or have unusable rows, and for too few questions.
    """
    tasks = mix.load_tasks(recipe, "train")
    notes = list(tasks.notes)
    for _ in public_benchmarks(recipe):
        pass  # a benchmark that cannot be had is refused here
    if recipe.distill is not None and recipe.distill.data is not None:
        read_conversations(recipe.distill.data)
    if is_students_alone(recipe):
        return notes
    if tasks.is_finite:
        mix.load_tasks(recipe, "held_out").distinct(recipe.eval.n_problems)
    for section in (recipe.cold_start, recipe.rejection):
        for source in (section.traces, section.conversations) if section is not None else ():
            if source is not None:
                check_conversations(source)
    if recipe.general is not None and _check_general(recipe, recipe.general):
        notes.append(ANSWERED)
    return notes


def _check_general(recipe: Recipe, config: GeneralConfig) -> bool:
    """Return True if the general prompts come from files."""
    task = mix.general(recipe, "held_out")
    if task.is_finite:
        mixture = mix.TaskMixture([task], [1.0], recipe.seed, "held_out")
        mixture.distinct(recipe.eval.n_general, "eval.n_general")
    for section in (recipe.cold_start, recipe.rejection):
        if section is not None and section.n_general and not isinstance(task, General):
            raise ConfigError(
                f"The general prompts of {config.prompts or config.name} have no answers to learn "
                "from; set n_general to 0, and name a file of conversations."
            )
    for name, source in preference_sources(recipe).items() if needs_reward_models(recipe) else ():
        if source is not None:
            example_file(source, pair_of if name == HELPFUL else label_of)
        elif not isinstance(task, General):
            key = "preference.pairs" if name == HELPFUL else "preference.labels"
            raise ConfigError(
                f"Stage {name} has nothing to learn from, as general prompts of your own come "
                f"without preferences; name a file as {key}, or a judge as final.judge_url."
            )
    return task.is_finite
