"""The forecast of one stage: memory, tokens, seconds and disk, from its settings.

Where a run decides a number, the forecast takes the most: completions of full length, every round
of dynamic sampling, every sample kept, every group learned from. With measured completions of the
base (base_completions.py) lengths and rounds are those that they let expect.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

from r1kit.config import FineTuneConfig, OptimConfig, Recipe, RLConfig, SFTConfig
from r1kit.curate.candidate import messages_of
from r1kit.curate.conversations import training_conversation
from r1kit.files.rows import is_file, numbered_rows
from r1kit.files.rows import n_rows as n_rows_of
from r1kit.forecast import memory, phases
from r1kit.forecast.phases import LoadedModel
from r1kit.forecast.setting import ForecastSetting, ModelFacts
from r1kit.forecast.stage_parts import (
    SAVED_PER_S,
    StageForecast,
    checkpoint_bytes,
    facts_of,
    loaded_model,
    n_kept,
    pass_time,
    sampled_s,
    step_evaluation,
    with_evaluation,
)
from r1kit.forecast.timings import learn_flops, learning_seconds
from r1kit.forecast.workload import BYTES_PER_TOKEN, learn_work, text_batch
from r1kit.runs.stage_specs import family
from r1kit.stages.plan import HARMLESS, PlannedStage, ablation_settings

ROLLOUT_BYTES = 32
"""bytes per sampled token in a .rollouts file: id, log-probability and text"""
JUDGED_TOKENS = 32
"""tokens of a general answer, which is short"""
UNCOUNTED_ROWS = 10_000
"""rows that are assumed of a file whose rows are not counted, such as a data set of the hub"""
N_MEASURED = 200
"""traces of a file whose sizes are measured"""
UNLIMITED = 4096
"""tokens of a trace if neither the recipe nor the model limits them"""
FORWARD = 1 / 3
"""share of a forward pass in the time of a forward and backward pass"""


def forecast_stage(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    """Forecast one stage of the plan, its evaluation included."""
    is_base = stage.name == "base" or stage.name.endswith("/base")
    kind = "base" if is_base else family(stage.name)
    if kind == "distill" and stage.name.endswith("/zero"):
        kind = "twin"
    trained = _KINDS.get(kind, _untrained)(stage, setting)
    if kind not in ("preference", "preference_eval"):
        trained = with_evaluation(trained, stage, setting)
    return replace(trained, phases=phases.with_fragments(trained.phases, setting.is_gpu))


def _base(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    facts, recipe = facts_of(stage, setting), setting.recipe
    if facts.config.path is not None:
        model = loaded_model(facts, setting)
        weights = memory.weights(facts.shape, model.precision)
        return StageForecast(
            stage.name, save_s=weights / SAVED_PER_S, disk=weights, phases={"save": model.weights}
        )
    model, config = loaded_model(facts, setting, is_fp32=True, is_new=True), recipe.base
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
    trained = phases.training(model, batch, optim.optimizer, setting.n_processes, others)
    weights, resume = checkpoint_bytes(model, optim.optimizer)
    n_saved = math.ceil(forecast.n_steps / checkpoint_every)
    return replace(
        forecast,
        learn_s=learning_seconds(
            facts.timings, per_update * pass_time(model), per_update / max(1, batch.tokens), 1
        ),
        save_s=(weights + resume) / SAVED_PER_S * n_saved,
        disk=forecast.disk + n_kept(setting, n_saved) * weights,
        resume_disk=n_kept(setting, n_saved) * resume,
        phases={**forecast.phases, **trained},
    )


def _reinforce(
    stage: PlannedStage, setting: ForecastSetting, config: RLConfig, n_judges: int = 0
) -> StageForecast:
    facts, recipe, n = facts_of(stage, setting), setting.recipe, setting.n_processes
    model, length = loaded_model(facts, setting), setting.length(config.max_tokens)
    work = learn_work(config, facts.prompts, length, n, recipe.compute.micro_batch_tokens)
    n_sampled = config.n_problems * config.n_completions
    rows, sample_s = sampled_s(facts, setting, config.n_problems, n_sampled, config.max_tokens)
    weights = memory.weights(facts.shape, model.precision)
    has_reference, optimizer = config.beta > 0, config.optim.optimizer
    engine = model.sampler(rows, facts.prompts.longest + config.max_tokens)
    others = {"reference": _reference(model) * has_reference, "judges": weights * n_judges}
    if model.n_shards > 1:
        others["whole weights"] = weights  # of the sampler, on every process
    cached = {**others, **model.packed_weights, "KV cache": engine.get("KV cache", 0.0)}
    trained = phases.training(model, work.micro_batch, optimizer, n, cached)
    held = {name: trained["save"][name] for name in ("weights", "program", "optimizer")}
    passes = pass_time(model) + FORWARD * has_reference
    learned = work.tokens * passes * _longer(facts, length)
    saved, resume = checkpoint_bytes(model, optimizer, has_reference)
    n_saved = sum(map(config.is_saved, range(1, config.n_steps + 1)))
    n_evaluations = sum(map(config.is_evaluated, range(1, config.n_steps + 1)))
    evaluation = step_evaluation(stage, setting)
    n_completions = config.n_steps * n_sampled
    return StageForecast(
        stage.name,
        n_steps=config.n_steps,
        sample_s=setting.n_rounds(config) * sample_s,
        learn_s=learning_seconds(facts.timings, learned, work.n_batches, config.updates_per_step),
        publish_s=facts.timings.publish,
        evaluate_s=n_evaluations * evaluation.seconds,
        save_s=(saved + resume) / SAVED_PER_S * n_saved,
        sampled_tokens=setting.n_rounds(config) * n_completions * length
        + n_evaluations * evaluation.tokens,
        trained_tokens=n_completions * (facts.prompts.mean + length),
        disk=n_kept(setting, n_saved) * saved,
        resume_disk=n_kept(setting, n_saved) * resume,
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
    """Forecast rejection sampling, unless traces replace it, and the fine-tuning on its data."""
    facts, recipe = facts_of(stage, setting), setting.recipe
    config: FineTuneConfig = getattr(recipe, stage.name)
    n_rows = _n_taught(config)
    sample, model = config.sample, loaded_model(facts, setting)
    if config.traces is not None:
        empty = StageForecast(stage.name)
        return _tuned(empty, facts, setting, config.sft, n_rows, _taught_length(config, facts))
    length = setting.length(sample.max_tokens)
    n_completions = sample.n_problems * sample.n_completions
    rows, data_s = sampled_s(facts, setting, sample.n_problems, n_completions, sample.max_tokens)
    sampled = StageForecast(
        stage.name,
        data_s=data_s,
        sampled_tokens=n_completions * length,
        disk=n_completions * length * ROLLOUT_BYTES,
        phases={"sample": phases.sampling(model, rows, facts.prompts.longest + sample.max_tokens)},
    )
    return _tuned(sampled, facts, setting, config.sft, n_rows, length)


def _n_taught(config: FineTuneConfig) -> int:
    """Return the most conversations that a stage learns from: samples or traces, and others."""
    sample = config.sample
    n_sampled = sample.n_problems * min(sample.n_completions, sample.rules.per_problem)
    n_own = n_sampled if config.traces is None else _n_of_file(config.traces, config.n_traces)
    return n_own + config.n_general + _n_of_file(config.conversations, config.n_conversations)


def _n_of_file(source: str | None, limit: int | None) -> int:
    """Return the most rows of a file that are used; those of a hub data set are not counted."""
    if source is None:
        return 0
    n = n_rows_of(source)
    if n is None:
        return limit or UNCOUNTED_ROWS
    return n if limit is None else min(n, limit)


def _taught_length(config: FineTuneConfig, facts: ModelFacts) -> float:
    """Return the mean tokens of a trace of a file, or the most of one whose rows are not read."""
    most = config.sft.max_length or facts.shape.max_positions or UNLIMITED
    longest = max(1.0, most - facts.prompts.mean)
    assert config.traces is not None
    size = _trace_bytes(config.traces) if is_file(config.traces) else None
    return longest if size is None else min(longest, max(1.0, size / BYTES_PER_TOKEN))


@cache
def _trace_bytes(source: str) -> float | None:
    """Return the mean UTF-8 bytes of the first traces of a file, without their questions."""
    sizes = []
    for number, row in islice(numbered_rows(source, []), N_MEASURED):
        with suppress(ValueError):  # a row that cannot be used is reported when the stage reads it
            turn = messages_of(training_conversation(row, str(number)))[-1]
            sizes.append(len(((turn.reasoning or "") + turn.content).encode(errors="replace")))
    return sum(sizes) / len(sizes) if sizes else None


def _student(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    """Forecast a student, which learns from the conversations of `rejection` or from a file."""
    facts, recipe = facts_of(stage, setting), setting.recipe
    assert recipe.distill is not None
    taught = recipe.rejection or FineTuneConfig()
    length = setting.length(taught.sample.max_tokens)
    if taught.traces is not None:
        length = _taught_length(taught, facts)
    empty = StageForecast(stage.name)
    return _tuned(empty, facts, setting, recipe.distill.sft, _n_taught(taught), length)


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
    model = loaded_model(facts, setting)
    share = length / sequence
    return _supervised(forecast, facts, setting, model, sft.optim, sft.checkpoint_every, {}, share)


def _preference(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    facts, config = facts_of(stage, setting), setting.recipe.preference
    per_example = (facts.prompts.mean + JUDGED_TOKENS) * (1 if stage.name == HARMLESS else 2)
    n_steps = math.ceil(config.n_pairs / config.batch) * config.epochs
    forecast = StageForecast(
        stage.name,
        n_steps=n_steps,
        trained_tokens=config.n_pairs * config.epochs * per_example,
    )
    model = loaded_model(facts, setting, is_fp32=True)
    return _supervised(
        forecast, facts, setting, model, config.optim, config.checkpoint_every, {}, 0.0
    )


def _preference_eval(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    facts, n_general = facts_of(stage, setting), setting.recipe.eval.n_general
    tokens = n_general * (facts.prompts.mean + JUDGED_TOKENS) * len(stage.needs)
    seconds = FORWARD * tokens * facts.timings.learn_token / setting.n_processes
    return StageForecast(stage.name, evaluate_s=seconds)


def _untrained(stage: PlannedStage, setting: ForecastSetting) -> StageForecast:
    return StageForecast(stage.name)


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
