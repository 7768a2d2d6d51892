"""The recipe: one TOML file that says HOW MUCH. Every key is here, with its unit and its default.

A recipe is read with `load(path, overrides)`, checked once, and never changed after; the resolved
recipe is written into the run folder. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from r1kit.errors import ConfigError

Language = Literal["en", "ko", "zh"]
LossName = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskConfig(Strict):
    """One `[[tasks]]` entry: a source of problems with a verifier."""

    name: str
    """family of the world ("equation", "series", "countdown", "arithmetic", "program"), "general"
    (conversation), public set ("humaneval", "mbpp", "livecodebench", "codeforces") or
    "file.py:Class" """
    path: str | None = None
    """of a public set: its rows as a .jsonl or .jsonl.gz file; None reads them from the hub"""
    level: int = Field(1, ge=1)
    """difficulty; what each level means is written in the task"""
    weight: float = Field(1.0, gt=0)
    """share of the problems, relative to the other tasks"""


class ShowcaseConfig(Strict):
    """One `[[showcase]]` entry, of any of the recipe's tasks."""

    question: str
    """as a user would ask it, in any of the recipe's languages"""
    answer: str
    """the right one, a number"""


class ModelConfig(Strict):
    """The policy: a Hugging Face folder or hub id, or the shape of a new one."""

    path: str | None = None
    """folder or hub id of an existing base; None builds a new model of the shape below"""
    family: Literal["llama", "qwen3"] = "llama"
    """architecture of a new model; not qwen2, whose folders transformers opens with a tokenizer of
    its own whatever they hold"""
    vocab_size: int = Field(512, ge=300)
    """tokens of the tokenizer trained on the corpus, control tokens and 256 bytes included"""
    n_layers: int = Field(4, ge=1)
    """transformer layers"""
    hidden: int = Field(128, ge=16)
    """width of the residual stream; an even multiple of `n_heads`"""
    intermediate: int = Field(384, ge=16)
    """width inside the feed-forward blocks"""
    n_heads: int = Field(4, ge=1)
    """query heads a layer"""
    n_kv_heads: int = Field(4, ge=1)
    """key and value heads a layer; divides `n_heads`"""
    max_positions: int = Field(2048, ge=64)
    """longest prompt and completion together, tokens"""

    @model_validator(mode="after")
    def _shape_fits(self) -> ModelConfig:
        if self.hidden % self.n_heads or (self.hidden // self.n_heads) % 2:
            raise ValueError(
                f"hidden ({self.hidden}) must be an even multiple of n_heads ({self.n_heads})"
            )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_heads ({self.n_heads}) must be a multiple of n_kv_heads ({self.n_kv_heads})"
            )
        return self


class OptimConfig(Strict):
    """Muon for the matrices inside the layers, AdamW for everything else."""

    optimizer: Literal["muon", "adamw"] = "adamw"
    """muon: matrices inside the layers by Muon, the rest by AdamW; adamw: everything by AdamW"""
    lr: float = Field(1e-4, gt=0)
    """peak, of AdamW"""
    muon_lr: float = Field(0.02, gt=0)
    """peak, of Muon"""
    weight_decay: float = Field(0.0, ge=0)
    """of matrices, in both optimizers; vectors are never decayed"""
    betas: tuple[float, float] = (0.9, 0.95)
    """of AdamW"""
    grad_clip: float = Field(1.0, gt=0)
    """largest global gradient norm"""
    schedule: Literal["constant", "cosine", "wsd"] = "constant"
    """after warm-up: constant; cosine to `final_lr`; or stable, then linear decay over the last
    `decay` share of the steps"""
    warmup_steps: int = Field(0, ge=0)
    """steps of linear warm-up to the peak"""
    decay: float = Field(0.3, ge=0, le=1)
    """share of the steps that decay under wsd"""
    final_lr: float = Field(0.1, ge=0, le=1)
    """share of the peak left at the end"""


class PretrainOptimConfig(OptimConfig):
    """What pretraining starts from."""

    optimizer: Literal["muon", "adamw"] = "muon"
    lr: float = Field(3e-3, gt=0)
    schedule: Literal["constant", "cosine", "wsd"] = "wsd"
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(0.01, ge=0)


class RLOptimConfig(OptimConfig):
    """What reinforcement learning starts from: small steps, always the same."""


class BaseConfig(Strict):
    """Stage `base`: pretrain a new model on the generated corpus (not when model.path is set)."""

    tokens: int = Field(4_000_000, ge=1)
    """tokens trained on"""
    batch_tokens: int = Field(8192, ge=64)
    """tokens an optimizer step, over all processes"""
    checkpoint_every: int = Field(100, ge=1)
    """steps between resume points"""
    optim: PretrainOptimConfig = PretrainOptimConfig()


class RewardConfig(Strict):
    """What each part of the reward counts; R1-Zero gives accuracy and format the same weight."""

    accuracy: float = Field(1.0, ge=0)
    """weight of a right answer"""
    format: float = Field(1.0, ge=0)
    """weight of thinking in its tags, then an answer"""
    language: float = Field(0.0, ge=0)
    """weight of the share of the thinking's words in the question's language; R1-Zero has none, R1
    adds it directly"""


class RLConfig(Strict):
    """Stage `zero`: GRPO and its variants. You say problems a step and completions a problem."""

    n_steps: int = Field(100, ge=1)
    """rollout phases: sample, learn, publish"""
    n_problems: int = Field(32, ge=1)
    """N, problems a step"""
    n_completions: int = Field(16, ge=2)
    """G, completions a problem"""
    max_tokens: int = Field(256, ge=1)
    """longest completion, tokens"""
    temperature: float = Field(1.0, gt=0)
    """of sampling; the learner scores at the same"""
    updates_per_step: int = Field(1, ge=1)
    """optimizer updates a rollout phase (R1: 16); the groups are split over them"""
    loss: LossName = "grpo"
    """what a token's loss is and how tokens are averaged; docs/zero.md has the formulas"""
    clip_low: float = Field(0.2, gt=0)
    """how far below 1 the ratio counts; 1 or more never binds"""
    clip_high: float = Field(0.2, gt=0)
    """the ratio is clipped to [1 - clip_low, 1 + clip_high]"""
    kl_beta: float = Field(0.0, ge=0)
    """weight of the k3 KL term in the loss; 0 keeps no reference"""
    reference_every: int = Field(400, ge=1)
    """steps after which the reference becomes the current policy"""
    dynamic_sampling: bool = False
    """DAPO: draw more problems until N groups are mixed (neither all right nor all wrong)"""
    dynamic_rounds: int = Field(3, ge=1)
    """most sampling rounds a step; then the step learns from the groups it has"""
    truncated: Literal["keep", "mask"] = "keep"
    """completions cut at max_tokens: keep them as they scored, or take them out of the loss"""
    overlong_buffer: int = Field(0, ge=0)
    """DAPO: tokens before max_tokens over which a length penalty grows to -1; 0 is off"""
    optim: RLOptimConfig = RLOptimConfig()
    checkpoint_every: int = Field(10, ge=1)
    """steps between resume points"""
    sample_every: int = Field(5, ge=1)
    """steps between readable groups in samples.jsonl"""
    rewards: RewardConfig = RewardConfig()


class PreferenceOptimConfig(OptimConfig):
    """What reward models start from."""

    lr: float = Field(6e-6, gt=0)


class PreferenceConfig(Strict):
    """Stages `preference/helpful` and `preference/harmless`: a reward model each."""

    n_pairs: int = Field(4096, ge=2)
    """pairs of answers for the helpful model (R1: 66,000), and as many labelled completions, half
    of them safe, for the harmless one (R1: 106,000)"""
    batch: int = Field(256, ge=1)
    """pairs, or labelled completions, an optimizer step, over all processes"""
    epochs: int = Field(1, ge=1)
    """times each of them is learned from"""
    optim: PreferenceOptimConfig = PreferenceOptimConfig()
    checkpoint_every: int = Field(100, ge=1)
    """steps between resume points"""


class BenchConfig(Strict):
    """How every stage is measured: held-out problems, k samples each."""

    n_problems: int = Field(400, ge=1)
    """different held-out problems"""
    samples: int = Field(1, ge=1)
    """completions a problem"""
    temperature: float = Field(1.0, ge=0)
    """0 is greedy"""
    top_p: float = Field(1.0, gt=0, le=1)
    """1 cuts nothing"""
    max_tokens: int = Field(256, ge=1)
    """longest completion, tokens"""


class ComputeConfig(Strict):
    """Where it runs. The result depends on n_processes by float rounding only."""

    n_processes: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """data-parallel processes; auto: one a physical core on a CPU, one a GPU otherwise"""
    threads: int = Field(1, ge=1)
    """torch threads a process"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: CUDA where there is some, else the CPU"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """of the model in RL and sampling alike; a new base is pretrained in float32"""
    max_rows: int = Field(512, ge=1)
    """rows decoded at once by one process's engine"""
    micro_batch_tokens: int = Field(2048, ge=64)
    """tokens in one forward and backward of the learner; changes speed and memory only"""


class CostConfig(Strict):
    """For the report: what a machine costs."""

    core_hour: float = Field(0.04, ge=0)
    """price of one CPU core for an hour, `currency`"""
    gpu_hour: float = Field(2.0, ge=0)
    """price of one GPU for an hour, `currency` (the R1 paper counts 2 dollars an H800 hour)"""
    currency: str = "USD"
    """name of the unit of both prices"""


class Recipe(Strict):
    """A whole run."""

    name: str
    """names the run; its folder is `runs/<name>` unless --out says otherwise"""
    seed: int = Field(0, ge=0)
    """of weights, problems, documents and sampling"""
    languages: tuple[Language, ...] = ("en", "ko", "zh")
    """that questions are asked in and documents are written in"""
    showcase: tuple[ShowcaseConfig, ...] = ()
    """questions whose answers by base and Zero the report shows side by side"""
    tasks: tuple[TaskConfig, ...] = Field(min_length=1)
    model: ModelConfig = ModelConfig()
    base: BaseConfig = BaseConfig()
    zero: RLConfig = RLConfig()
    preference: PreferenceConfig = PreferenceConfig()
    bench: BenchConfig = BenchConfig()
    compute: ComputeConfig = ComputeConfig()
    cost: CostConfig = CostConfig()

    def hash(self) -> str:
        """Of everything that decides the result (compute and cost do not)."""
        decisive = self.model_dump(mode="json", exclude={"compute", "cost"})
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def load(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe and apply `key=value` overrides (dotted keys, TOML values).

    Raises ConfigError with a sentence that names the key and what is allowed.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no recipe at {path}; see recipes/ for examples.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; name a recipe file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    for override in overrides or []:
        _override(data, override)
    return parse(data, str(path))


def parse(data: dict[str, Any], where: str) -> Recipe:
    """Check a recipe given as a dict; `where` names it in errors."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error, where)) from None


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes key=value, for example zero.n_steps=50; got {override!r}.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override}: {parent} is not a section of the recipe.")
    data[last] = value


def _explain(error: ValidationError, where: str) -> str:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"unknown key {key!r}{_nearest(item['loc'])}")
        elif item["type"] == "missing":
            lines.append(f"{key!r} is missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{key or 'recipe'}: {message} (got {item['input']!r})")
    return f"{where}: " + "; ".join(lines) + "."


def _nearest(loc: tuple[int | str, ...]) -> str:
    model: Any = Recipe
    for part in loc[:-1]:
        if isinstance(part, str):
            model = _inner(model.model_fields[part].annotation)
    known = sorted(model.model_fields)
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(known)}"


def _inner(annotation: Any) -> Any:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return Strict
