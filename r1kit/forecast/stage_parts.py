"""Shared by the forecasts of all kinds of stages: models, sampling, checkpoints, evaluations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from r1kit.config import OptimizerName
from r1kit.evals.suite import find_benchmarks
from r1kit.forecast import memory, phases
from r1kit.forecast.model_shape import n_adapters
from r1kit.forecast.phases import LoadedModel, Phases
from r1kit.forecast.setting import MAIN, ForecastSetting, ModelFacts, precision
from r1kit.forecast.timings import sampling_seconds
from r1kit.stages.plan import PlannedStage

UNPUBLISHED_ROWS = 400
"""problems that are assumed of a public benchmark whose size the suite does not state"""
N_KEPT = 2
"""checkpoints that stay of a stage, unless the recipe keeps all"""
RECOMPUTED = 4 / 3
"""time of a forward and backward pass with gradient checkpointing, relative to that without"""
SAVED_PER_S = 400e6
"""bytes per second in which a checkpoint is written and its checksums are computed"""
FROZEN = 2 / 3
"""time of a forward and backward pass through frozen weights, relative to trained ones"""


@dataclass(frozen=True)
class StageForecast:
    """The needs of a stage. Seconds of sample, learn and publish are those of a step."""

    name: str
    n_steps: int = 0
    sample_s: float = 0.0
    learn_s: float = 0.0
    publish_s: float = 0.0
    data_s: float = 0.0
    """sampling the data of a fine-tuning stage"""
    evaluate_s: float = 0.0
    save_s: float = 0.0
    """writing all its checkpoints"""
    sampled_tokens: float = 0.0
    trained_tokens: float = 0.0
    disk: float = 0.0
    """bytes that stay"""
    resume_disk: float = 0.0
    """bytes of resume state, until the stage is finished"""
    phases: Phases = field(default_factory=dict)
    """memory of one process by phase and part, in bytes"""

    @property
    def step_s(self) -> float:
        return self.sample_s + self.learn_s + self.publish_s

    @property
    def seconds(self) -> float:
        return self.data_s + self.n_steps * self.step_s + self.evaluate_s + self.save_s

    @property
    def peak(self) -> float:
        """Bytes of one process in its largest phase."""
        return phases.peak(self.phases)[1] if self.phases else 0.0


class BenchmarkSize(NamedTuple):
    """The samples of an evaluation: k completions of each problem."""

    n_problems: int
    k: int
    max_tokens: int


class EvaluationForecast(NamedTuple):
    """The needs of one evaluation: rows that are decoded at once, seconds, sampled tokens."""

    rows: int
    seconds: float
    tokens: float


def facts_of(stage: PlannedStage, setting: ForecastSetting) -> ModelFacts:
    parts = stage.name.split("/")
    return setting.models[parts[1] if parts[0] == "distill" else MAIN]


def sampled_s(
    facts: ModelFacts, setting: ForecastSetting, n_prompts: int, n_completions: int, most: int
) -> tuple[int, float]:
    """Return the rows and the seconds in which all processes sample completions of the prompts.

    A completion has at most `most` tokens.
    """
    per_process = max(1, round(n_completions / setting.n_processes))
    rows = min(setting.recipe.sampler.max_num_seqs, per_process)
    prefill = n_prompts / setting.n_processes * facts.prompts.mean * facts.timings.prefill_token
    decoding = sampling_seconds(
        facts.timings,
        per_process,
        setting.length(most),
        setting.longest(most, per_process),
        rows,
        facts.prompts.mean,
    )
    return rows, prefill + decoding


def loaded_model(
    facts: ModelFacts, setting: ForecastSetting, is_fp32: bool = False, is_new: bool = False
) -> LoadedModel:
    """Return a model in memory; a new one is never trained through adapters."""
    is_checkpointed = setting.recipe.compute.gradient_checkpointing
    own = precision(setting.recipe, is_fp32)
    lora = setting.recipe.lora
    n = None if lora is None or is_new else n_adapters(facts.shape, lora.r, lora.target_modules)
    loaded = LoadedModel(facts.shape, own, facts.program, setting.is_gpu, is_checkpointed, n)
    is_vllm = setting.recipe.sampler.kind == "vllm"
    return replace(loaded, n_shards=setting.n_shards, is_sampled_by_vllm=is_vllm)


def checkpoint_bytes(
    model: LoadedModel, optimizer: OptimizerName, has_reference: bool = False
) -> tuple[float, float]:
    """Return the bytes of a checkpoint: the weights; moments, fp32 weights and the reference."""
    precision, moments = model.precision, model.moments(optimizer)
    reference = model.n_trained * precision.weight * has_reference
    masters = memory.masters(model.n_trained, precision)
    return memory.weights(model.shape, precision), moments + masters + reference


def n_kept(setting: ForecastSetting, n_saved: int) -> int:
    keeps_all = setting.recipe.compute.keep_checkpoints == "all"
    return n_saved if keeps_all else min(N_KEPT, n_saved)


def pass_time(model: LoadedModel) -> float:
    """Return the time of a forward and backward pass relative to the measured one.

    Of three parts, frozen weights need two: they have no gradient of their own.
    """
    share = 1.0 if model.n_adapters is None else FROZEN
    return share * (RECOMPUTED if model.is_checkpointed else 1.0)


def with_evaluation(
    forecast: StageForecast, stage: PlannedStage, setting: ForecastSetting
) -> StageForecast:
    """Add the benchmarks of the finished stage: the recipe's own and public ones, `[[evals]]`."""
    own, public = _benchmark_sizes(stage, setting)
    evaluation = _evaluation(own + public, stage, setting)
    facts = facts_of(stage, setting)
    longest = facts.prompts.longest + max(size.max_tokens for size in own + public)
    evaluated = phases.sampling(loaded_model(facts, setting), evaluation.rows, longest)
    return replace(
        forecast,
        evaluate_s=forecast.evaluate_s + evaluation.seconds,
        sampled_tokens=forecast.sampled_tokens + evaluation.tokens,
        phases={**forecast.phases, "evaluate": evaluated},
    )


def step_evaluation(stage: PlannedStage, setting: ForecastSetting) -> EvaluationForecast:
    """Forecast one evaluation during RL: of the public benchmarks, or of the held-out problems."""
    own, public = _benchmark_sizes(stage, setting)
    return _evaluation(public or own[:1], stage, setting)


def _evaluation(
    sizes: list[BenchmarkSize], stage: PlannedStage, setting: ForecastSetting
) -> EvaluationForecast:
    facts = facts_of(stage, setting)
    sampled_by = [
        sampled_s(facts, setting, size.n_problems, size.n_problems * size.k, size.max_tokens)
        for size in sizes
    ]
    return EvaluationForecast(
        rows=max(rows for rows, _ in sampled_by),
        seconds=sum(seconds for _, seconds in sampled_by),
        tokens=sum(size.n_problems * size.k * setting.length(size.max_tokens) for size in sizes),
    )


def _benchmark_sizes(
    stage: PlannedStage, setting: ForecastSetting
) -> tuple[list[BenchmarkSize], list[BenchmarkSize]]:
    """Return the sizes of the recipe's own benchmarks and of the public ones.

    Raises ConfigError if a public one is not known.
    """
    recipe, config = setting.recipe, setting.recipe.eval
    own = [BenchmarkSize(config.n_problems, config.n_completions, config.max_tokens)]
    if recipe.general is not None and not stage.name.startswith("distill/"):
        own.append(BenchmarkSize(config.n_general, config.n_completions, config.max_tokens))
    facts = facts_of(stage, setting)
    room = (facts.shape.max_positions or math.inf) - facts.prompts.longest
    public = []
    for benchmark in recipe.evals:
        (spec, *_), _ = find_benchmarks(benchmark.name)
        n = min(benchmark.limit or math.inf, spec.n_rows or UNPUBLISHED_ROWS)
        most = min(benchmark.max_tokens or config.max_tokens, room)
        public.append(BenchmarkSize(int(n), benchmark.samples, max(1, int(most))))
    return own, public
