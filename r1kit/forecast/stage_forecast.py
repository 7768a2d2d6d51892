"""The forecast of one stage: memory, tokens, seconds and disk, from its settings.

Where a run decides a number, the forecast takes the most: completions of full length, every sample
kept, every group learned from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from r1kit.config import FineTuneConfig, OptimConfig, Recipe, RLConfig, SFTConfig
from r1kit.forecast import memory, phases
from r1kit.forecast.model_shape import n_adapters
from r1kit.forecast.phases import LoadedModel, Phases
from r1kit.forecast.setting import MAIN, ForecastSetting, ModelFacts, precision
from r1kit.forecast.timings import learn_flops, learning_seconds, sampling_seconds
from r1kit.forecast.workload import learn_work, text_batch
from r1kit.runs.stage_specs import family
from r1kit.stages.plan import HARMLESS, PlannedStage, ablation_settings

N_KEPT = 2
"""checkpoints that stay of a stage, unless the recipe keeps all"""
RECOMPUTED = 4 / 3
"""time of a forward and backward pass with gradient checkpointing, relative to that without"""
SAVED_PER_S = 400e6
"""bytes per second in which a checkpoint is written and its checksums are computed"""
ROLLOUT_BYTES = 32
"""bytes per sampled token in a .rollouts file: id, log-probability and text"""
JUDGED_TOKENS = 32
"""tokens of a general answer, which is short"""
FROZEN = 2 / 3
"""time of a forward and backward pass through frozen weights, relative to trained ones"""
FORWARD = 1 / 3
"""share of a forward pass in the time of a forward and backward pass"""


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


def forecast_stage(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    """Forecast one stage of the plan, its evaluation included."""
    is_base = stage.name == "base" or stage.name.endswith("/base")
    kind = "base" if is_base else family(stage.name)
    if kind == "distill" and stage.name.endswith("/zero"):
        kind = "twin"
    trained = _KINDS.get(kind, _untrained)(stage, setting)
    if kind not in ("preference", "preference_eval"):
        trained = _with_evaluation(trained, stage, setting)
    return replace(trained, phases=phases.with_fragments(trained.phases, setting.is_gpu))


def _facts(stage: PlannedStage, setting: ForecastSetting) -> ModelFacts:
    parts = stage.name.split("/")
    return setting.models[parts[1] if parts[0] == "distill" else MAIN]


def _sampled_s(
    facts: ModelFacts, setting: ForecastSetting, n_prompts: int, n_completions: int, most: int
) -> tuple[int, float]:
    """Return the rows and the seconds in which all processes sample completions of the prompts.

    A completion has at most `most` tokens.
    """
    per_process = max(1, round(n_completions / setting.n_processes))
    rows = min(setting.recipe.sampler.max_num_seqs, per_process)
    prefill = n_prompts / setting.n_processes * facts.prompts.mean * facts.timings.prefill_token
    decoding = sampling_seconds(
        facts.timings, per_process, setting.length(most), most, rows, facts.prompts.mean
    )
    return rows, prefill + decoding


def _model(
    facts: ModelFacts, setting: ForecastSetting, is_fp32: bool = False, is_new: bool = False
) -> LoadedModel:
    """Return a model in memory; a new one is never trained through adapters."""
    is_checkpointed = setting.recipe.compute.gradient_checkpointing
    own = precision(setting.recipe, is_fp32)
    lora = setting.recipe.lora
    n = None if lora is None or is_new else n_adapters(facts.shape, lora.r, lora.target_modules)
    loaded = LoadedModel(facts.shape, own, facts.program, setting.is_gpu, is_checkpointed, n)
    return replace(loaded, n_shards=setting.n_shards)


def _base(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    facts, recipe = _facts(stage, setting), setting.recipe
    if facts.config.path is not None:
        model = _model(facts, setting)
        weights = memory.weights(facts.shape, model.precision)
        return StageForecast(
            stage.name, save_s=weights / SAVED_PER_S, disk=weights, phases={"save": model.weights}
        )
    model, config = _model(facts, setting, is_fp32=True, is_new=True), recipe.base
    student = next((s for s in _students(recipe) if stage.name == f"distill/{s.name}/base"), None)
    n_tokens = config.tokens if student is None else student.tokens
    n_steps = math.ceil(n_tokens / config.batch_tokens)
    data = memory.documents(n_tokens / setting.n_processes)
    return _supervised(
        StageForecast(stage.name, n_steps=n_steps, trained_tokens=n_tokens),
        facts, setting, model, config.optim, config.checkpoint_every, {"data": data},
    )  # fmt: skip


def _supervised(
    forecast: StageForecast,
    facts: ModelFacts,
    setting: ForecastSetting,
    model: LoadedModel,
    optim: OptimConfig,
    checkpoint_every: int,
    others: memory.MemoryParts,
    scored_share: float = 1.0,
) -> StageForecast:
    """Add the training of `trained_tokens` in `n_steps` updates."""
    per_update = forecast.trained_tokens / max(1, forecast.n_steps) / setting.n_processes
    batch = text_batch(per_update, setting.recipe.compute.micro_batch_tokens, scored_share)
    uses_muon = optim.optimizer == "muon"
    trained = phases.training(model, batch, uses_muon, setting.n_processes, others)
    weights, resume = _checkpoint(model, uses_muon)
    n_saved = math.ceil(forecast.n_steps / checkpoint_every)
    return replace(
        forecast,
        learn_s=learning_seconds(
            facts.timings, per_update * _slower(model), per_update / max(1, batch.tokens), 1
        ),
        save_s=(weights + resume) / SAVED_PER_S * n_saved,
        disk=forecast.disk + _n_kept(setting, n_saved) * weights,
        resume_disk=_n_kept(setting, n_saved) * resume,
        phases={**forecast.phases, **trained},
    )


def _checkpoint(
    model: LoadedModel, uses_muon: bool, has_reference: bool = False
) -> tuple[float, float]:
    """Return the bytes of a checkpoint: the weights; moments, fp32 weights and the reference."""
    precision, n_muon = model.precision, model.shape.n_matrices if uses_muon else 0
    moments = memory.optimizer(model.n_trained, n_muon, precision)
    reference = model.n_trained * precision.weight * has_reference
    masters = memory.masters(model.n_trained, precision)
    return memory.weights(model.shape, precision), moments + masters + reference


def _n_kept(setting: ForecastSetting, n_saved: int) -> int:
    keeps_all = setting.recipe.compute.keep_checkpoints == "all"
    return n_saved if keeps_all else min(N_KEPT, n_saved)


def _slower(model: LoadedModel) -> float:
    """Return the time of a forward and backward pass relative to the measured one.

    Of three parts, frozen weights need two: they have no gradient of their own.
    """
    share = 1.0 if model.n_adapters is None else FROZEN
    return share * (RECOMPUTED if model.is_checkpointed else 1.0)


def _reinforce(
    stage: PlannedStage, setting: ForecastSetting, config: RLConfig, n_judges: int = 0
) -> StageForecast:
    facts, recipe, n = _facts(stage, setting), setting.recipe, setting.n_processes
    model, length = _model(facts, setting), setting.length(config.max_tokens)
    work = learn_work(config, facts.prompts, length, n, recipe.compute.micro_batch_tokens)
    n_sampled = config.n_problems * config.n_completions
    rows, sample_s = _sampled_s(facts, setting, config.n_problems, n_sampled, config.max_tokens)
    weights = memory.weights(facts.shape, model.precision)
    has_reference, uses_muon = config.beta > 0, config.optim.optimizer == "muon"
    engine = model.sampler(rows, facts.prompts.longest + config.max_tokens)
    others = {"reference": _reference(model) * has_reference, "judges": weights * n_judges}
    if model.n_shards > 1:
        others["whole weights"] = weights  # of the sampler, on every process
    cached = {**others, **model.packed_weights, "KV cache": engine["KV cache"]}
    trained = phases.training(model, work.micro_batch, uses_muon, n, cached)
    held = {name: trained["save"][name] for name in ("weights", "program", "optimizer")}
    passes = _slower(model) + FORWARD * has_reference
    learned = work.tokens * passes * _longer(facts, length)
    saved, resume = _checkpoint(model, uses_muon, has_reference)
    n_saved = math.ceil(config.n_steps / config.checkpoint_every)
    n_completions = config.n_steps * n_sampled
    return StageForecast(
        stage.name,
        n_steps=config.n_steps,
        sample_s=sample_s,
        learn_s=learning_seconds(facts.timings, learned, work.n_batches, config.updates_per_step),
        publish_s=facts.timings.publish,
        save_s=(saved + resume) / SAVED_PER_S * n_saved,
        sampled_tokens=n_completions * length,
        trained_tokens=n_completions * (facts.prompts.mean + length),
        disk=_n_kept(setting, n_saved) * saved,
        resume_disk=_n_kept(setting, n_saved) * resume,
        phases={"sample": {**held, **others, **engine}, **trained},
    )


def _reference(model: LoadedModel) -> float:
    """Return the bytes of a reference on one process; adapters share the frozen weights."""
    if model.n_shards > 1 and model.n_adapters is None:
        return model.n_trained * memory.FP32 / model.n_shards
    return model.n_trained * model.precision.weight


def _longer(facts: ModelFacts, length: float) -> float:
    """Return the time per token at this length, relative to that at the measured length."""
    sequence = facts.prompts.mean + length
    measured = facts.timings.learn_length or sequence
    return learn_flops(facts.shape, sequence) / learn_flops(facts.shape, measured)


def _zero(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    return _reinforce(stage, setting, setting.recipe.zero)


def _reasoning(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    assert setting.recipe.reasoning is not None
    return _reinforce(stage, setting, setting.recipe.reasoning)


def _final(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    assert setting.recipe.final is not None
    return _reinforce(stage, setting, setting.recipe.final, _n_judges(setting.recipe))


def _twin(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    assert setting.recipe.distill is not None
    return _reinforce(stage, setting, setting.recipe.distill.twin)


def _ablation(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    item = next(a for a in setting.recipe.ablations if f"ablation/{a.name}" == stage.name)
    n_judges = _n_judges(setting.recipe) if item.of == "final" else 0
    return _reinforce(stage, setting, ablation_settings(setting.recipe, item), n_judges)


def _n_judges(recipe: Recipe) -> int:
    has_own = recipe.final is not None and recipe.final.judge_url is None
    return 2 if has_own and recipe.general is not None else 0


def _fine_tune(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    """Forecast rejection sampling and the fine-tuning on what it keeps."""
    facts, recipe = _facts(stage, setting), setting.recipe
    config: FineTuneConfig = getattr(recipe, stage.name)
    sample, model = config.sample, _model(facts, setting)
    length = setting.length(sample.max_tokens)
    n_completions = sample.n_problems * sample.n_completions
    rows, data_s = _sampled_s(facts, setting, sample.n_problems, n_completions, sample.max_tokens)
    n_rows = sample.n_problems * min(sample.n_completions, sample.rules.per_problem)
    sampled = StageForecast(
        stage.name,
        data_s=data_s,
        sampled_tokens=n_completions * length,
        disk=n_completions * length * ROLLOUT_BYTES,
        phases={"sample": phases.sampling(model, rows, facts.prompts.longest + sample.max_tokens)},
    )
    return _tuned(sampled, facts, setting, config.sft, n_rows + config.n_general, length)


def _student(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    """Forecast a student, which learns from the conversations of `rejection` or from a file."""
    facts, recipe = _facts(stage, setting), setting.recipe
    assert recipe.distill is not None
    taught = recipe.rejection or FineTuneConfig()
    n_rows = taught.sample.n_problems * min(
        taught.sample.n_completions, taught.sample.rules.per_problem
    )
    length = setting.length(taught.sample.max_tokens)
    empty = StageForecast(stage.name)
    return _tuned(empty, facts, setting, recipe.distill.sft, n_rows + taught.n_general, length)


def _tuned(
    forecast: StageForecast,
    facts: ModelFacts,
    setting: ForecastSetting,
    sft: SFTConfig,
    n_rows: int,
    length: float,
) -> StageForecast:
    sequence = facts.prompts.mean + length
    forecast = replace(
        forecast,
        n_steps=math.ceil(n_rows / sft.batch) * sft.epochs,
        trained_tokens=n_rows * sequence * sft.epochs,
    )
    model = _model(facts, setting)
    share = length / sequence
    return _supervised(forecast, facts, setting, model, sft.optim, sft.checkpoint_every, {}, share)


def _preference(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    facts, config = _facts(stage, setting), setting.recipe.preference
    per_example = (facts.prompts.mean + JUDGED_TOKENS) * (1 if stage.name == HARMLESS else 2)
    n_steps = math.ceil(config.n_pairs / config.batch) * config.epochs
    forecast = StageForecast(
        stage.name,
        n_steps=n_steps,
        trained_tokens=config.n_pairs * config.epochs * per_example,
    )
    model = _model(facts, setting, is_fp32=True)
    return _supervised(
        forecast, facts, setting, model, config.optim, config.checkpoint_every, {}, 0.0
    )


def _preference_eval(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    facts, n_general = _facts(stage, setting), setting.recipe.eval.n_general
    tokens = n_general * (facts.prompts.mean + JUDGED_TOKENS) * len(stage.needs)
    seconds = FORWARD * tokens * facts.timings.learn_token / setting.n_processes
    return StageForecast(stage.name, evaluate_s=seconds)


def _untrained(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    return StageForecast(stage.name)


def _with_evaluation(
    forecast: StageForecast, stage: PlannedStage, setting: ForecastSetting
) -> StageForecast:
    """Add the recipe's benchmarks."""
    facts, recipe = _facts(stage, setting), setting.recipe
    config, length = recipe.eval, setting.length(recipe.eval.max_tokens)
    has_general = recipe.general is not None and not stage.name.startswith("distill/")
    per_benchmark = [config.n_problems, *([config.n_general] if has_general else [])]
    sampled_by = [
        _sampled_s(facts, setting, n, n * config.n_completions, config.max_tokens)
        for n in per_benchmark
    ]
    most = max(rows for rows, _ in sampled_by)
    seconds = sum(seconds for _, seconds in sampled_by)
    model = _model(facts, setting)
    evaluated = phases.sampling(model, most, facts.prompts.longest + config.max_tokens)
    sampled = sum(per_benchmark) * config.n_completions * length
    return replace(
        forecast,
        evaluate_s=seconds,
        sampled_tokens=forecast.sampled_tokens + sampled,
        phases={**forecast.phases, "evaluate": evaluated},
    )


def _students(recipe: Recipe) -> tuple[Any, ...]:
    return () if recipe.distill is None else recipe.distill.students


_KINDS: dict[str, Callable[[PlannedStage, ForecastSetting], StageForecast]] = {
    "base": _base,
    "zero": _zero,
    "cold_start": _fine_tune,
    "reasoning": _reasoning,
    "rejection": _fine_tune,
    "preference": _preference,
    "final": _final,
    "distill": _student,
    "twin": _twin,
    "ablation": _ablation,
    "preference_eval": _preference_eval,
}
