"""Check, before training, that a recipe's completions fit its models' contexts. Torch-free."""

from __future__ import annotations

from r1kit.config import FineTuneConfig, Recipe, RLConfig, StudentConfig
from r1kit.errors import ConfigError
from r1kit.runs.stage_specs import STAGES

SampledLengths = dict[str, int]
"""key of a recipe → longest completion it allows, in tokens"""


def sampled_lengths(recipe: Recipe, student: StudentConfig | None = None) -> SampledLengths:
    """Return the lengths sampled from the main model and its descendants, or from a student."""
    lengths = {"eval.max_tokens": recipe.eval.max_tokens}
    if student is not None:
        twin = recipe.distill.twin if recipe.distill is not None and student.twin else None
        return lengths | ({} if twin is None else {"distill.twin.max_tokens": twin.max_tokens})
    for stage in STAGES:
        section = getattr(recipe, stage, None)
        if isinstance(section, RLConfig) and section.n_steps:  # R1-Zero may be left out
            lengths[f"{stage}.max_tokens"] = section.max_tokens
        elif isinstance(section, FineTuneConfig) and section.traces is None:
            lengths[f"{stage}.sample.max_tokens"] = section.sample.max_tokens
    return lengths


def refuse_long(
    lengths: SampledLengths, positions: int | None, prompt: int = 1, name: str = ""
) -> None:
    """Raises ConfigError for completions that do not fit after a prompt of `prompt` tokens.

    `name` is the id of the problem with that prompt.
    """
    too_long = {key: n for key, n in lengths.items() if positions and prompt + n > positions}
    if too_long:
        settings = ", ".join(f"{key} is {n}" for key, n in too_long.items())
        behind = f"; the longest prompt, {name}, has {prompt} tokens" if prompt > 1 else ""
        raise ConfigError(
            f"{settings}, but the model ends at {positions} tokens, its prompt included{behind}. "
            "Lower max_tokens, leave out such a problem, or raise max_positions of a model that is "
            "made here."
        )
