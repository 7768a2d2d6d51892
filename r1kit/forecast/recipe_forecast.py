"""The forecast of a whole recipe: its stages on a machine, and what would make it fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from r1kit.config import ModelConfig, OptimConfig, Recipe, RLConfig
from r1kit.engines.vllm.flags import cpu_cache_bytes, gpu_share
from r1kit.errors import R1Error
from r1kit.forecast import hardware, memory
from r1kit.forecast.base_completions import BaseCompletions
from r1kit.forecast.hardware import Hardware
from r1kit.forecast.machine import Machine, stated_machine, this_machine
from r1kit.forecast.measured import Measurement, ProbeRequest, probe
from r1kit.forecast.model_shape import ModelShape
from r1kit.forecast.setting import MAIN, ForecastSetting, ModelFacts, n_shards, precision
from r1kit.forecast.stage_forecast import forecast_stage
from r1kit.forecast.stage_parts import StageForecast
from r1kit.forecast.timings import Timings, estimated
from r1kit.forecast.workload import PromptLengths, prompts_by_size
from r1kit.stages.context_length import refuse_long, sampled_lengths
from r1kit.stages.plan import StageSelection, is_students_alone, plan
from r1kit.tasks import mix
from r1kit.types import Message

N_PROMPTS = 64
"""number of prompts whose lengths are measured"""
ASSUMED_QUESTION = "How many of them are there in the second box? " * 14
"""stands for questions that are not on this machine; about 250 tokens"""
GPU_PROGRAM = 0.7e9
"""bytes that CUDA and its libraries take on a GPU"""
VLLM_PROGRAMS = 2
"""processes of a vLLM server on a CPU, each of which is taken to be as large as one of r1kit's"""
USABLE = 0.95
"""share of the memory that can be used: the rest is lost to fragments"""


@dataclass(frozen=True)
class Forecast:
    """The needs of a recipe on a machine."""

    recipe: Recipe
    machine: Machine
    setting: ForecastSetting
    stages: tuple[StageForecast, ...]
    selection: StageSelection
    completions: BaseCompletions | None = None
    """measured completions of the base, if there are any"""
    hardware: Hardware | None = None
    """stated GPUs; None for this machine"""
    notes: tuple[str, ...] = ()
    """what was assumed because it is not on this machine, as sentences"""

    @property
    def expected(self) -> Forecast | None:
        """The forecast with completions like those of the base; None if they are not measured.

        Its seconds and tokens are no upper bounds.
        """
        if self.completions is None:
            return None
        setting = replace(self.setting, completions=self.completions)
        stages = _stages(self.recipe, setting, self.selection)
        return replace(self, setting=setting, stages=stages)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def price(self) -> float:
        """Price of the whole recipe, in the currency of the machine."""
        return self.seconds / 3600 * self.machine.hour

    @property
    def disk(self) -> float:
        """Bytes of the finished run, and of the resume state of the stage that has most."""
        resume = max((stage.resume_disk for stage in self.stages), default=0.0)
        return sum(stage.disk for stage in self.stages) + resume

    @property
    def largest(self) -> StageForecast:
        """The stage that needs the most memory."""
        return max(self.stages, key=lambda stage: stage.peak)

    @property
    def server(self) -> float:
        """Bytes of the vLLM that the run starts, beside all stages; 0 if it starts none."""
        return self.server_on(self.machine.memory)

    def server_on(self, gpu_memory: float) -> float:
        """Return `server` on a GPU with so many bytes, which the first process uses, too."""
        sampler = self.recipe.sampler
        if sampler.kind != "vllm" or sampler.urls:
            return 0.0
        if self.setting.is_gpu:
            return gpu_share(sampler.vllm_args) * gpu_memory
        own = precision(self.recipe)
        models = self.setting.models.values()
        held = (memory.weights(m.shape, own) + VLLM_PROGRAMS * m.program for m in models)
        return max(held) + cpu_cache_bytes()

    @property
    def needed(self) -> float:
        """Bytes of all processes together, or of the first GPU, in the largest stage."""
        return self.machine.needs(self.largest.peak) + self.server

    @property
    def fits(self) -> bool:
        """True if the largest stage fits into the memory."""
        return self.needed <= USABLE * self.machine.memory

    def on(self, n_gpus: int, shard_degree: int) -> Forecast:
        """Return the forecast for another number of the stated GPUs, whole or sharded."""
        assert self.hardware is not None, "this machine has the GPUs that it has"
        gpus = replace(self.hardware, count=n_gpus)
        compute = self.recipe.compute.model_copy(
            update={"data_parallel_shard_degree": shard_degree}
        )
        recipe = self.recipe.model_copy(update={"compute": compute})
        n = _n_stated(recipe, gpus)
        models = {
            name: replace(facts, timings=_estimated(recipe, facts.shape, facts.prompts, gpus))
            for name, facts in self.setting.models.items()
        }
        setting = replace(self.setting, n_processes=n, models=models)
        machine = stated_machine(gpus, n, recipe.cost)
        made = replace(self, machine=machine, setting=setting, hardware=gpus)
        return made.with_recipe(recipe)

    def only(self, selection: StageSelection) -> Forecast:
        """Return the forecast of the selected stages."""
        return replace(self, selection=selection).with_recipe(self.recipe)

    def with_recipe(self, recipe: Recipe, share: float | None = None) -> Forecast:
        """Return the forecast of a changed recipe for the same models on the same machine."""
        share = self.setting.length_share if share is None else share
        setting = replace(self.setting, recipe=recipe, length_share=share)
        stages = _stages(recipe, setting, self.selection)
        return replace(self, recipe=recipe, setting=setting, stages=stages)


def forecast(
    recipe: Recipe,
    machine: str | None = None,
    *,
    is_new: bool = False,
    length_share: float = 1.0,
    completions: BaseCompletions | None = None,
    on_measured: Callable[[int, int], None] | None = None,
) -> Forecast:
    """Forecast a recipe for this machine, which is measured, or for stated hardware.

    With `is_new` earlier measurements are not used. `length_share` is the length of a completion as
    a share of max_tokens; `completions` are those of the base, if measured. `on_measured` gets the
    number of measured models and of all models. Raises an R1Error if the recipe cannot be run, or a
    model cannot be found.
    """
    gpus = None if machine is None else hardware.stated(machine)
    models = models_of(recipe)
    questions, notes = _questions(recipe, is_needed=gpus is None)
    requests = [
        _request(recipe, model, questions, is_timed=gpus is None) for model in models.values()
    ]
    if on_measured is not None:
        on_measured(0, len(requests))
    measured = probe(
        requests, is_new, lambda n: on_measured(n, len(requests)) if on_measured else None
    )
    n_processes = measured[0].n_processes if gpus is None else _n_stated(recipe, gpus)
    facts = {
        name: _facts(recipe, model, result, questions, gpus)
        for (name, model), result in zip(models.items(), measured, strict=True)
    }
    first = measured[0]
    if MAIN in models and first.prompts is not None:
        lengths, positions = sampled_lengths(recipe), first.shape.max_positions
        refuse_long(lengths, positions, first.prompts.longest, f"one of the first {N_PROMPTS}")
    is_gpu = gpus is not None or first.device_memory is not None
    setting = ForecastSetting(recipe, n_processes, facts, length_share, is_gpu)
    target = (
        stated_machine(gpus, n_processes, recipe.cost)
        if gpus is not None
        else this_machine(
            first.device, first.device_memory, n_processes, recipe.compute.threads, recipe.cost,
            max(result.load for result in measured),
        )
    )  # fmt: skip
    absent = [m.path for m, got in zip(models.values(), measured, strict=True)
              if m.path is not None and got.prompts is None]  # fmt: skip
    notes += [f"{path} is planned by its published sizes." for path in absent if path]
    every, stages = StageSelection(), _stages(recipe, setting, StageSelection())
    return Forecast(recipe, target, setting, stages, every, completions, gpus, tuple(notes))


def _questions(recipe: Recipe, is_needed: bool) -> tuple[list[tuple[Message, ...]], list[str]]:
    """Return the first questions, or assumed ones with a note if the recipe's are not here.

    Raises the R1Error of the recipe's tasks if they are needed.
    """
    try:
        problems = mix.load_tasks(recipe, "train").problems(0, N_PROMPTS)
        return [problem.messages for problem in problems], []
    except R1Error as error:
        if is_needed:
            raise
        note = f"{error} Until then questions are taken to have about 250 tokens."
        return [(Message("user", ASSUMED_QUESTION),)], [note]


def _stages(
    recipe: Recipe, setting: ForecastSetting, selection: StageSelection
) -> tuple[StageForecast, ...]:
    """Forecast the selected stages. Raises ConfigError if the selection names an unknown stage."""
    planned = plan(recipe)
    selection.check([stage.name for stage in planned])
    return tuple(forecast_stage(stage, setting) for stage in planned if stage.name in selection)


def models_of(recipe: Recipe) -> dict[str, ModelConfig]:
    """Return the models of a recipe: the main one under "", the students under their names."""
    students = () if recipe.distill is None else recipe.distill.students
    models = {student.name: student.model for student in students}
    return models if is_students_alone(recipe) and models else {MAIN: recipe.model, **models}


def _request(
    recipe: Recipe,
    model: ModelConfig,
    questions: Sequence[tuple[Message, ...]],
    is_timed: bool,
) -> ProbeRequest:
    rl = _main_rl(recipe)
    n_parallel = rl.n_problems * rl.n_completions
    return ProbeRequest(
        model=model,
        compute=recipe.compute if is_timed else recipe.compute.model_copy(
            update={"n_processes": 1, "device": "cpu"}
        ),
        optim=OptimConfig(optimizer=rl.optim.optimizer),
        questions=list(questions),
        languages=recipe.languages,
        rows=min(recipe.sampler.max_num_seqs, math.ceil(n_parallel / 2)),
        length=rl.max_tokens,
        at_most=recipe.zero.n_problems,
        is_timed=is_timed,
    )  # fmt: skip


def _main_rl(recipe: Recipe) -> RLConfig:
    """Return the RL settings whose sizes are timed: those of the last of the main RL stages."""
    return recipe.final or recipe.reasoning or recipe.zero


def _facts(
    recipe: Recipe,
    model: ModelConfig,
    measured: Measurement,
    questions: Sequence[tuple[Message, ...]],
    gpus: Hardware | None,
) -> ModelFacts:
    prompts: PromptLengths = measured.prompts or prompts_by_size(
        ["".join(message.content for message in question) for question in questions]
    )
    timings, program = measured.timings, float(measured.n_program_bytes)
    if gpus is not None:
        timings = _estimated(recipe, measured.shape, prompts, gpus)
    if gpus is not None or measured.device_memory is not None:
        program = GPU_PROGRAM
    assert timings is not None
    return ModelFacts(model, measured.shape, timings, prompts, program)


def _estimated(
    recipe: Recipe, shape: ModelShape, prompts: PromptLengths, gpus: Hardware
) -> Timings:
    rl, n = _main_rl(recipe), _n_stated(recipe, gpus)
    rows = math.ceil(rl.n_problems * rl.n_completions / n)
    return estimated(
        shape, replace(gpus, count=n), precision(recipe), min(recipe.sampler.max_num_seqs, rows),
        prompts.mean + rl.max_tokens, n_shards(recipe, n), recipe.sampler.kind == "vllm",
    )  # fmt: skip


def _n_stated(recipe: Recipe, gpus: Hardware) -> int:
    stated = recipe.compute.n_processes
    wanted = gpus.count if stated == "auto" else min(stated, gpus.count)
    return max(1, min(wanted, recipe.zero.n_problems))
