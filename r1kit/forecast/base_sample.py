"""Samples a base on a few training questions before anything is trained: `r1 init` reports it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from r1kit.config import ModelConfig, Recipe
from r1kit.engines.open import open_sampler
from r1kit.errors import ComputeError
from r1kit.evals.benchmark import Benchmark, sample_benchmark
from r1kit.forecast.base_completions import BaseCompletions
from r1kit.forecast.counting import shape_of
from r1kit.forecast.machine import free_memory
from r1kit.forecast.probe import model_config
from r1kit.model.devices import resolve_device
from r1kit.model.find import find_model
from r1kit.model.policy import Policy
from r1kit.model.ranks import Ranks
from r1kit.renderers import renderer_of
from r1kit.renderers.adopt import adopt_template
from r1kit.renderers.thinking import END_THINK
from r1kit.tasks import mix
from r1kit.types import Rollout, SamplingParams

N_PROBLEMS, N_COMPLETIONS = 8, 4
MAX_TOKENS, MAX_TOKENS_GPU = 256, 2048
"""longest sampled completion, unless the user states one"""
USABLE = 0.7
"""share of the free memory that the weights may take"""


HARD, EASY = 0.05, 0.8
"""pass rates below and above which RL has little to learn from"""
STEP = 64
"""max_tokens of a recipe is a multiple of it"""


@dataclass(frozen=True)
class BaseSample:
    """Graded completions of the base: `BaseSample(groups, 512)`."""

    groups: Sequence[Sequence[Rollout]]
    """completions of each question, without undecided ones"""
    max_tokens: int

    @property
    def rollouts(self) -> list[Rollout]:
        return [rollout for group in self.groups for rollout in group]

    @property
    def n_right(self) -> int:
        return sum(bool(rollout.verdict.correct) for rollout in self.rollouts)

    @property
    def n_mixed(self) -> int:
        """Questions with right and wrong completions."""
        return sum(
            len({bool(rollout.verdict.correct) for rollout in group}) > 1 for group in self.groups
        )

    @property
    def n_well_formed(self) -> int:
        return sum(rollout.parsed.well_formed for rollout in self.rollouts)

    @property
    def finished_lengths(self) -> list[int]:
        """Tokens of the completions that ended before max_tokens."""
        ended = [r.completion for r in self.rollouts if r.completion.finish != "length"]
        return [len(completion.token_ids) for completion in ended]

    @property
    def n_cut(self) -> int:
        return len(self.rollouts) - len(self.finished_lengths)

    def completions(self) -> BaseCompletions:
        """Return what a forecast needs; rates of few completions are drawn towards a half."""
        lengths = [len(rollout.completion.token_ids) for rollout in self.rollouts]
        rates = [
            (sum(bool(rollout.verdict.correct) for rollout in group) + 0.5) / (len(group) + 1)
            for group in self.groups
        ]
        return BaseCompletions(fmean(lengths), tuple(rates))

    def fitting_max_tokens(self) -> int:
        """Return twice the longest finished completion, rounded up; no more than was sampled."""
        longest = max(self.finished_lengths, default=self.max_tokens)
        return min(self.max_tokens, -(-2 * longest // STEP) * STEP)

    def numbers(self) -> str:
        """Return `12 of 32 completions are right; 54 tokens per completion, 3 of them cut ...`."""
        n, mean = len(self.rollouts), self.completions().mean_tokens
        cut = f", {self.n_cut} of them cut at {self.max_tokens}" if self.n_cut else ""
        return f"{self.n_right} of {n} completions are right; {mean:.0f} tokens per completion{cut}"

    def meaning(self) -> str:
        """Return what the pass rate means for reinforcement learning, and what to do."""
        rate = self.n_right / len(self.rollouts)
        if rate < HARD:
            return (
                "Probably too hard for RL alone: with nearly no right completion there is nothing "
                "to reinforce. `r1 sample` measures more questions; take easier ones, or begin "
                "with a cold start: [cold_start] with traces of worked solutions."
            )
        if rate > EASY:
            return (
                "Probably too easy: most groups are all right, and RL learns nothing from those. "
                "Take harder questions."
            )
        return (
            f"About right for RL: {self.n_mixed} of {len(self.groups)} questions have right and "
            "wrong completions, and a step learns from such questions."
        )


class OpenBase:
    """A base in memory. Raises ComputeError if its weights need more than the free memory."""

    def __init__(self, recipe: Recipe) -> None:
        assert recipe.model.path is not None
        device = resolve_device(recipe.compute.device)
        dtype = torch.bfloat16 if device == "cuda" else getattr(torch, recipe.compute.dtype)
        n_bytes = (
            shape_of(model_config(recipe.model, is_timed=True)[0]).n_parameters * dtype.itemsize
        )
        if device == "cpu" and n_bytes > USABLE * free_memory():
            raise ComputeError(
                f"The weights take {n_bytes / 1e9:.1f} GB and {free_memory() / 1e9:.1f} GB of "
                "memory are free; free some, or use a smaller model."
            )
        self._recipe = recipe
        self._policy = Policy.load(find_model(recipe.model.path), device, dtype)
        self._own_template = copy.deepcopy(self._policy.tokenizer.chat_template)
        own = self._own_template
        self.is_asked_to_think = own is not None and END_THINK not in str(own)
        """True if its chat template has no thinking, so that a line of instruction asks for it"""
        self.max_tokens = MAX_TOKENS_GPU if device == "cuda" else MAX_TOKENS

    def sample(
        self, model: ModelConfig, max_tokens: int, on_sampled: Callable[[int], None] | None = None
    ) -> BaseSample:
        """Sample training questions with the chat template and the instruction of `model`.

        `on_sampled` gets the number of questions whose completions are all sampled.
        """
        recipe, policy, tasks = self._recipe, self._policy, mix.load_tasks(self._recipe, "train")
        policy.tokenizer.chat_template = copy.deepcopy(self._own_template)
        adopt_template(policy.tokenizer, model.chat_template, model.instruction, recipe.languages)
        renderer, problems = renderer_of(policy.tokenizer), tasks.problems(0, N_PROBLEMS)
        longest = max(len(renderer.render_prompt(problem.messages)) for problem in problems)
        most = min(max_tokens, (policy.max_positions or max_tokens + longest) - longest)
        if most < 1:
            raise ComputeError(
                f"A question has {longest} tokens, and the model's context ends at "
                f"{policy.max_positions}; shorten the questions, or use another model."
            )
        sampling = SamplingParams(most, recipe.zero.temperature)
        benchmark = Benchmark("base", problems, tasks.verify, sampling, N_COMPLETIONS)
        with open_sampler(policy, recipe.sampler) as (sampler, _):
            batch = sample_benchmark(sampler, renderer, benchmark, Ranks(), recipe.seed, on_sampled)
        groups = [group.rollouts for group in batch.groups if group.rollouts]
        if not groups:
            raise ComputeError(
                "No completion of the base could be graded: the verifier decides none of them; "
                "`r1 data FILE` shows what it says of the gold answers."
            )
        return BaseSample(groups, most)
