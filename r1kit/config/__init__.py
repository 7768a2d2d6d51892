"""The recipe: one TOML file with all the settings of a run, each with its unit and default.

`load(path, overrides)` reads a recipe and checks it once; it never changes afterwards. The resolved
recipe is written into the run folder. An unknown key is an error that names the nearest known key.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from r1kit.config.compute import ComputeConfig, CostConfig, KeepRule
from r1kit.config.curation import (
    ContaminationMode,
    FilterRules,
    FineTuneConfig,
    RejectionSamplingConfig,
)
from r1kit.config.distill import DistillConfig, StudentConfig
from r1kit.config.eval import BenchmarkConfig, EvalConfig
from r1kit.config.lora import LoraConfig
from r1kit.config.mistakes import explain
from r1kit.config.model import DeepseekV3Config, ModelConfig
from r1kit.config.optim import (
    OptimConfig,
    OptimizerName,
    PreferenceOptimConfig,
    PretrainOptimConfig,
    RLOptimConfig,
    SFTOptimConfig,
)
from r1kit.config.rl import (
    AblationConfig,
    FinalConfig,
    ImportanceSamplingMode,
    KLEstimator,
    LossType,
    ReasoningConfig,
    RewardConfig,
    RLConfig,
    ZeroConfig,
)
from r1kit.config.sampler import SamplerConfig
from r1kit.config.shipped import find_recipe, shipped_recipes
from r1kit.config.strict import RunName, StrictModel
from r1kit.config.supervised import BaseConfig, PreferenceConfig, SFTConfig
from r1kit.config.tasks import GeneralConfig, Language, ShowcaseConfig, TaskConfig
from r1kit.errors import ConfigError
from r1kit.files.text_files import read_text

__all__ = [
    "FREE_SECTIONS",
    "AblationConfig",
    "BaseConfig",
    "BenchmarkConfig",
    "ComputeConfig",
    "ContaminationMode",
    "CostConfig",
    "DeepseekV3Config",
    "DistillConfig",
    "EvalConfig",
    "FilterRules",
    "FinalConfig",
    "FineTuneConfig",
    "GeneralConfig",
    "ImportanceSamplingMode",
    "KLEstimator",
    "KeepRule",
    "Language",
    "LoraConfig",
    "LossType",
    "ModelConfig",
    "OptimConfig",
    "OptimizerName",
    "PreferenceConfig",
    "PreferenceOptimConfig",
    "PretrainOptimConfig",
    "RLConfig",
    "RLOptimConfig",
    "ReasoningConfig",
    "Recipe",
    "RejectionSamplingConfig",
    "RewardConfig",
    "SFTConfig",
    "SFTOptimConfig",
    "SamplerConfig",
    "ShowcaseConfig",
    "StrictModel",
    "StudentConfig",
    "TaskConfig",
    "ZeroConfig",
    "explain",
    "find_recipe",
    "load",
    "parse",
    "shipped_recipes",
    "without_later_keys",
]

FREE_SECTIONS = ("compute", "sampler", "cost")
"""sections that may change between the sessions of a run: they do not decide its result"""
LATER_KEYS: dict[str, Any] = {
    "lora": None,
    "kl_estimator": "k3",
    "evals": [],
    "eval_steps": 0,
    "load_best_model_at_end": False,
}
"""keys added to recipes later, with their defaults, which leave the hash of a recipe as it was"""


class Recipe(StrictModel):
    """All the settings of a run."""

    name: RunName
    """name of the run; its folder is `runs/<name>` unless --out says otherwise"""
    seed: int = Field(0, ge=0)
    """seed of the weights, problems, documents and sampling"""
    languages: tuple[Language, ...] = ("en", "ko", "zh")
    """languages of the questions and documents"""
    showcase: tuple[ShowcaseConfig, ...] = ()
    """questions; the report shows the answers of base and Zero side by side"""
    tasks: tuple[TaskConfig, ...] = Field(min_length=1)
    model: ModelConfig = ModelConfig()
    general: GeneralConfig | None = None
    """general prompts; None: only reasoning is trained and measured"""
    lora: LoraConfig | None = None
    """None: all weights are trained"""
    base: BaseConfig = BaseConfig()
    zero: ZeroConfig = ZeroConfig()
    cold_start: FineTuneConfig | None = None
    """first optional stage; this one and the later ones run only if the recipe has their section"""
    reasoning: ReasoningConfig | None = None
    rejection: FineTuneConfig | None = None
    final: FinalConfig | None = None
    distill: DistillConfig | None = None
    ablations: tuple[AblationConfig, ...] = ()

    preference: PreferenceConfig = PreferenceConfig()
    eval: EvalConfig = EvalConfig()
    evals: tuple[BenchmarkConfig, ...] = ()
    sampler: SamplerConfig = SamplerConfig()
    compute: ComputeConfig = ComputeConfig()
    cost: CostConfig = CostConfig()

    @model_validator(mode="after")
    def _adapters_have_adamw(self) -> Recipe:
        tuned = {
            "cold_start.sft": self.cold_start and self.cold_start.sft,
            "rejection.sft": self.rejection and self.rejection.sft,
            "distill.sft": self.distill and self.distill.sft,
            "distill.twin": self.distill and self.distill.twin,
        }
        stages = {
            name: getattr(self, name) for name in ("zero", "reasoning", "final", "preference")
        }
        for name, settings in (stages | tuned).items():
            if self.lora is not None and settings and settings.optim.optimizer == "muon":
                raise ValueError(
                    f'{name}.optim.optimizer is "muon", which is for whole matrices and not for '
                    'the adapters of [lora]; set it to "adamw", or leave [lora] out'
                )
        return self

    @model_validator(mode="after")
    def _only_adapters_are_published(self) -> Recipe:
        if self.sampler.publish == "adapter" and self.lora is None:
            raise ValueError('sampler.publish is "adapter", which needs adapters; add [lora]')
        if self.sampler.publish == "adapter" and self.lora and self.lora.r > 512:
            raise ValueError("lora.r is above 512, the most that vLLM takes; lower it")
        return self

    @model_validator(mode="after")
    def _only_servers_sample_ahead(self) -> Recipe:
        sections = {name: getattr(self, name) for name in ("zero", "reasoning", "final")}
        sections |= {"distill.twin": self.distill and self.distill.twin}
        for name, section in sections.items():
            if section is not None and section.max_staleness and self.sampler.kind != "vllm":
                raise ValueError(
                    f"{name}.max_staleness is 1, but the local engine runs the model in training "
                    'and cannot sample meanwhile; set sampler.kind = "vllm", or max_staleness = 0'
                )
        return self

    def hash(self) -> str:
        """Return a hash of every setting outside the `FREE_SECTIONS`."""
        decisive = without_later_keys(self.model_dump(mode="json", exclude=set(FREE_SECTIONS)))
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def without_later_keys(value: Any) -> Any:
    """Remove the `LATER_KEYS` that have their defaults from nested settings."""
    if isinstance(value, dict):
        return {
            key: without_later_keys(item)
            for key, item in value.items()
            if key not in LATER_KEYS or item != LATER_KEYS[key]
        }
    return [without_later_keys(item) for item in value] if isinstance(value, list) else value


def load(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe and apply overrides `key=value` (dotted keys, TOML values).

    `tasks.0.path` is a key of the first of several sections.

    `path` may also be the name of a recipe that ships with r1kit. Raises ConfigError, whose message
    names the key and the allowed values.
    """
    file = find_recipe(path)
    try:
        data = tomllib.loads(read_text(file, ConfigError))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    for override in overrides or []:
        _override(data, override)
    return parse(data, str(path))


def parse(data: dict[str, Any], where: str) -> Recipe:
    """Check a recipe given as a dict; `where` names it in error messages."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error, where, Recipe)) from None


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes key=value, for example zero.n_steps=50; got {override!r}.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    section: Any = data
    for parent in parents:
        section = _subsection(section, parent)
        if section is None:
            raise ConfigError(f"--set {override}: {parent} is not a section of the recipe.")
    if not isinstance(section, dict):
        raise ConfigError(
            f"--set {override}: {parents[-1]} is a list of sections; say which one, from 0 on: "
            f"{'.'.join(parents)}.0.{last}."
        )
    section[last] = value


def _subsection(section: Any, name: str) -> Any:
    """Return a section by its name, or by its position in a list; None if there is none."""
    if isinstance(section, list):
        is_there = name.isdecimal() and len(name) < 6 and int(name) < len(section)
        return section[int(name)] if is_there else None
    child = section.setdefault(name, {})
    is_sections = isinstance(child, list) and all(isinstance(item, dict) for item in child)
    return child if is_sections or isinstance(child, dict) else None
