"""The sections of a recipe, `config.Recipe`: every key with its unit and default.

The docstring under a key documents it; docs/recipe.md is generated from these docstrings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from r1kit.config.strict import Name, Strict

Language = Literal["en", "ko", "zh"]
LossName = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
ContaminationMode = Literal["exact", "13-gram", "8-gram", "template"]


class TaskConfig(Strict):
    """A `[[tasks]]` entry: a source of problems with a verifier."""

    name: str
    """a generated family ("equation", "series", "countdown", "arithmetic", "program"), "general"
    (conversation), a public set ("humaneval", "mbpp", "livecodebench", "codeforces") or
    "file.py:Class" """
    path: str | None = None
    """file of a public set's rows, .jsonl or .jsonl.gz; None downloads the set from the hub"""
    level: int = Field(1, ge=1)
    """difficulty; each task documents its levels"""
    weight: float = Field(1.0, gt=0)
    """share of the problems, relative to the other tasks"""


class ShowcaseConfig(Strict):
    """A `[[showcase]]` entry: a question for any of the recipe's tasks."""

    question: str
    """the question as a user would ask it, in any of the recipe's languages"""
    answer: str
    """the correct answer, a number"""


class ModelConfig(Strict):
    """The policy: a Hugging Face folder, a hub id, or the shape of a new model."""

    path: str | None = None
    """folder or hub id of an existing base; None builds a new model of the shape below"""
    chat_template: Literal["own", "r1-zero"] = "own"
    """chat template of an existing base: "own": the one it has, or "Question: ... Answer:" without
    one; "r1-zero": the prompt of table 1 of the R1 paper, with answers between `<answer>` tags"""
    family: Literal["llama", "qwen3"] = "llama"
    """architecture of a new model; qwen2 is not offered because transformers opens every qwen2
    folder with its own tokenizer class, whatever the folder contains"""
    vocab_size: int = Field(512, ge=300)
    """size of the tokenizer trained on the corpus, control tokens and 256 bytes included"""
    n_layers: int = Field(4, ge=1)
    """transformer layers"""
    hidden: int = Field(128, ge=16)
    """width of the residual stream; an even multiple of `n_heads`"""
    intermediate: int = Field(384, ge=16)
    """width inside the feed-forward blocks"""
    n_heads: int = Field(4, ge=1)
    """query heads per layer"""
    n_kv_heads: int = Field(4, ge=1)
    """key and value heads per layer; divides `n_heads`"""
    max_positions: int = Field(2048, ge=64)
    """maximum length of prompt plus completion, tokens"""

    @model_validator(mode="after")
    def _shape_fits(self) -> ModelConfig:
        if self.chat_template != "own" and self.path is None:
            raise ValueError(
                "chat_template is for an existing base, and a new model has r1kit's own; set path, "
                "or leave chat_template out"
            )
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
    """Optimizer settings: AdamW alone, or together with Muon for the matrices of the layers."""

    optimizer: Literal["muon", "adamw"] = "adamw"
    """muon: Muon for matrices inside the layers, AdamW for the rest; adamw: AdamW for everything"""
    lr: float = Field(1e-4, gt=0)
    """peak learning rate of AdamW"""
    muon_lr: float = Field(0.02, gt=0)
    """peak learning rate of Muon"""
    weight_decay: float = Field(0.0, ge=0)
    """weight decay of matrices, in both optimizers; vectors are never decayed"""
    betas: tuple[float, float] = (0.9, 0.95)
    """beta coefficients of AdamW"""
    grad_clip: float = Field(1.0, gt=0)
    """maximum global gradient norm"""
    schedule: Literal["constant", "cosine", "wsd"] = "constant"
    """schedule after warm-up: constant; cosine down to `final_lr`; or wsd, stable and then linear
    decay over the last `decay` share of the steps"""
    warmup_steps: int = Field(0, ge=0)
    """steps of linear warm-up to the peak"""
    decay: float = Field(0.3, ge=0, le=1)
    """share of the steps that decay under wsd"""
    final_lr: float = Field(0.1, ge=0, le=1)
    """final learning rate, as a share of the peak"""


class PretrainOptimConfig(OptimConfig):
    """Defaults for pretraining."""

    optimizer: Literal["muon", "adamw"] = "muon"
    lr: float = Field(3e-3, gt=0)
    schedule: Literal["constant", "cosine", "wsd"] = "wsd"
    warmup_steps: int = Field(20, ge=0)
    weight_decay: float = Field(0.01, ge=0)


class RLOptimConfig(OptimConfig):
    """Defaults for reinforcement learning: a small, constant learning rate."""


class SFTOptimConfig(OptimConfig):
    """Defaults for fine-tuning: the R1 paper's cosine from 5e-5 to a tenth of it."""

    lr: float = Field(5e-5, gt=0)
    schedule: Literal["constant", "cosine", "wsd"] = "cosine"


class BaseConfig(Strict):
    """Stage `base`: pretrain a new model on the generated corpus (not if model.path is set)."""

    tokens: int = Field(4_000_000, ge=1)
    """number of training tokens"""
    batch_tokens: int = Field(8192, ge=64)
    """tokens per optimizer step, over all processes"""
    checkpoint_every: int = Field(100, ge=1)
    """steps between checkpoints for resuming"""
    optim: PretrainOptimConfig = PretrainOptimConfig()


class RewardConfig(Strict):
    """Weights of the reward parts; R1-Zero gives accuracy and format the same weight."""

    accuracy: float = Field(1.0, ge=0)
    """weight of a correct answer"""
    format: float = Field(1.0, ge=0)
    """weight of the format: thinking inside its tags, then an answer"""
    language: float = Field(0.0, ge=0)
    """weight of language consistency, the share of words in the thinking that are in the question's
    language; R1-Zero does not use it, R1 adds it directly"""
    process: float = Field(0.0, ge=0)
    """weight of the share of equations in the thinking that are true: a process reward, not an
    outcome reward; R1 has none"""
    preference: float = Field(0.0, ge=0)
    """weight of the judge's score; only stage `final` has a judge, for general prompts only"""


class RLConfig(Strict):
    """A stage of reinforcement learning: GRPO and its variants. The batch size is given as problems
    per step and completions per problem."""

    n_steps: int = Field(100, ge=1)
    """number of rollout phases (sample, learn, publish)"""
    n_problems: int = Field(32, ge=1)
    """N, problems per step"""
    n_completions: int = Field(16, ge=2)
    """G, completions per problem"""
    max_tokens: int = Field(256, ge=1)
    """maximum length of a completion, tokens"""
    temperature: float = Field(1.0, gt=0)
    """sampling temperature; the learner scores tokens at the same temperature"""
    updates_per_step: int = Field(1, ge=1)
    """optimizer updates per rollout phase (R1: 16); the groups are split over them"""
    loss: LossName = "grpo"
    """loss of a token and how tokens are averaged; docs/zero.md has the formulas"""
    clip_low: float = Field(0.2, gt=0)
    """the ratio is clipped below at 1 - clip_low; 1 or more never clips"""
    clip_high: float = Field(0.2, gt=0)
    """the ratio is clipped to [1 - clip_low, 1 + clip_high]"""
    kl_beta: float = Field(0.0, ge=0)
    """weight of the k3 KL term in the loss; 0 keeps no reference model"""
    reference_every: int = Field(400, ge=1)
    """number of steps after which the reference is replaced by the current policy"""
    dynamic_sampling: bool = False
    """DAPO: sample more problems until N groups are mixed (neither all right nor all wrong)"""
    dynamic_rounds: int = Field(3, ge=1)
    """maximum number of sampling rounds per step; then the step uses the groups it has"""
    truncated: Literal["keep", "mask"] = "keep"
    """completions cut at max_tokens: keep them with their reward, or mask them out of the loss"""
    overlong_buffer: int = Field(0, ge=0)
    """DAPO: tokens before max_tokens over which a length penalty grows to -1; 0 is off"""
    optim: RLOptimConfig = RLOptimConfig()
    checkpoint_every: int = Field(10, ge=1)
    """steps between checkpoints for resuming"""
    sample_every: int = Field(5, ge=1)
    """steps between groups logged to samples.jsonl"""
    rewards: RewardConfig = RewardConfig()


class ReasoningConfig(RLConfig):
    """Stage `reasoning`: RL as in `zero`, from the cold start, with the language reward."""

    rewards: RewardConfig = RewardConfig(language=1.0)


class SFTConfig(Strict):
    """Supervised fine-tuning on conversations; only the last turn counts in the loss."""

    epochs: int = Field(2, ge=1)
    """number of passes over the conversations (R1: 2 to 3)"""
    batch: int = Field(128, ge=1)
    """conversations per update, over all processes"""
    checkpoint_every: int = Field(100, ge=1)
    """updates between checkpoints for resuming"""
    optim: SFTOptimConfig = SFTOptimConfig()


class Rules(Strict):
    """Thresholds of the filters that turn samples into conversations (docs/curation.md)."""

    language: float = Field(0.9, ge=0, le=1)
    """minimum share of words in the question's language, in the thinking and in the answer"""
    contamination: tuple[ContaminationMode, ...] = ("exact", "13-gram", "8-gram")
    """kinds of benchmark overlap that drop a sample; the other kinds are only counted"""
    lowest_pass_rate: float = Field(0.0, ge=0, le=1)
    """minimum share of a problem's samples that are correct"""
    highest_pass_rate: float = Field(1.0, ge=0, le=1)
    """maximum share of a problem's samples that are correct; below 1 drops problems that the
    sampler always solves"""
    similarity: float = Field(0.8, gt=0)
    """estimated Jaccard similarity from which two samples are near-duplicates; above 1 is off"""
    per_problem: int = Field(4, ge=1)
    """samples kept per problem, the shortest ones"""


class KeepConfig(Strict):
    """Rejection sampling: how many completions are sampled, and which are kept."""

    n_problems: int = Field(1000, ge=1)
    """number of problems of the train split"""
    n_completions: int = Field(4, ge=1)
    """completions per problem"""
    max_tokens: int = Field(256, ge=1)
    """maximum length of a completion, tokens"""
    temperature: float = Field(1.0, gt=0)
    """sampling temperature"""
    top_p: float = Field(1.0, gt=0, le=1)
    """nucleus sampling threshold; 1 is off"""
    rules: Rules = Rules()


class TunedConfig(Strict):
    """A stage that fine-tunes the base on samples from another stage's model."""

    sample: KeepConfig = KeepConfig()
    n_general: int = Field(0, ge=0)
    """number of conversations from the general task, added unfiltered"""
    sft: SFTConfig = SFTConfig()


class FinalConfig(RLConfig):
    """Stage `final`: reasoning prompts rewarded by rules, and in the last share of the steps also
    general prompts rewarded by a judge. R1: 1,700 steps, the last 400 with preferences, at
    temperature 0.7."""

    temperature: float = Field(0.7, gt=0)
    rewards: RewardConfig = RewardConfig(language=1.0)
    preference_share: float = Field(0.235, ge=0, le=1)
    """share of the steps, at the end, that include general prompts and a judge"""
    general_share: float = Field(0.5, ge=0, le=1)
    """share of general prompts among the problems of those steps"""
    general_rewards: RewardConfig = RewardConfig(accuracy=0, language=1.0, preference=1.0)
    """reward weights of general prompts; accuracy is measured but has weight 0"""
    judge_url: str | None = None
    """URL of an OpenAI-compatible server used as judge; None: the reward models trained here"""
    judge_model: str | None = None
    """name of the judge on that server; None: the only model there"""


class StudentConfig(Strict):
    """A `[[distill.students]]` entry: a separate model, trained only on the teacher's data."""

    name: Name
    """name of the student; part of the names of its checkpoints"""
    model: ModelConfig = ModelConfig()
    """shape of the student, or an existing base"""
    tokens: int = Field(1_000_000, ge=1)
    """number of tokens its base is pretrained on (ignored when model.path is set)"""
    lr: float | None = Field(None, gt=0)
    """peak learning rate of its fine-tuning; None: that of distill.sft"""
    twin: bool = False
    """true: also train the same base by reinforcement learning alone, for comparison"""


class DistillConfig(Strict):
    """Stage `distill`: students are fine-tuned on the data of `rejection`, without RL."""

    students: tuple[StudentConfig, ...] = ()
    data: str | None = None
    """file of conversations, as written by `r1 sample`: the recipe then trains only students; None:
    the data of stage rejection"""
    sft: SFTConfig = SFTConfig()
    twin: RLConfig = RLConfig()

    @model_validator(mode="after")
    def _names_differ(self) -> DistillConfig:
        if len({student.name for student in self.students}) < len(self.students):
            raise ValueError("two students have the same name")
        return self


class AblationConfig(Strict):
    """An `[[ablations]]` entry: a stage repeated with other settings."""

    name: Name
    """name of the ablation; part of the names of its checkpoints"""
    of: Literal["zero", "reasoning", "final"]
    """the stage to repeat; settings that are not changed stay the same"""
    change: dict[str, Any] = Field({})
    """changed settings by their keys in that stage: { n_steps = 40, rewards = { language = 0 } }"""


class GeneralConfig(Strict):
    """Task of the non-reasoning prompts, for data, the final stage and benchmarks."""

    name: str = "general"
    """name of the task: "general", or "file.py:Class" of a class with `conversation(index)`"""
    level: int = Field(1, ge=1)
    """difficulty"""


class PreferenceOptimConfig(OptimConfig):
    """Defaults for reward models."""

    lr: float = Field(6e-6, gt=0)


class PreferenceConfig(Strict):
    """Stages `preference/helpful` and `preference/harmless`: one reward model each."""

    n_pairs: int = Field(4096, ge=2)
    """number of answer pairs for the helpful model (R1: 66,000) and of labelled completions, half
    of them safe, for the harmless model (R1: 106,000)"""
    batch: int = Field(256, ge=1)
    """pairs, or labelled completions, per optimizer step, over all processes"""
    epochs: int = Field(1, ge=1)
    """number of passes over the data"""
    optim: PreferenceOptimConfig = PreferenceOptimConfig()
    checkpoint_every: int = Field(100, ge=1)
    """steps between checkpoints for resuming"""


class EvalConfig(Strict):
    """Evaluation of every stage: held-out problems with k samples each."""

    n_problems: int = Field(400, ge=1)
    """number of distinct held-out problems"""
    n_general: int = Field(200, ge=1)
    """number of distinct held-out general prompts, if the recipe has a general task"""
    samples: int = Field(1, ge=1)
    """k, completions per problem; above 1, the majority answer is measured too"""
    temperature: float = Field(1.0, ge=0)
    """sampling temperature; 0 is greedy"""
    top_p: float = Field(1.0, gt=0, le=1)
    """nucleus sampling threshold; 1 is off"""
    max_tokens: int = Field(256, ge=1)
    """maximum length of a completion, tokens"""


class ComputeConfig(Strict):
    """Hardware settings. The result depends on n_processes only through float rounding."""

    n_processes: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """data-parallel processes; auto: one per physical core on a CPU, else one per GPU"""
    threads: int = Field(1, ge=1)
    """torch threads per process"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: CUDA if available, else the CPU"""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """precision of the model in RL and sampling; a new base is pretrained in float32"""
    max_rows: int = Field(512, ge=1)
    """maximum number of rows decoded at once by the engine of one process"""
    micro_batch_tokens: int = Field(2048, ge=64)
    """tokens per forward and backward pass of the learner; affects only speed and memory"""


class CostConfig(Strict):
    """Prices of the machine, for the report."""

    core_hour: float = Field(0.04, ge=0)
    """price of one CPU core per hour, in `currency`"""
    gpu_hour: float = Field(2.0, ge=0)
    """price of one GPU per hour, in `currency` (the R1 paper assumes 2 dollars per H800 hour)"""
    currency: str = "USD"
    """currency of both prices"""
