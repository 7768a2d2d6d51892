"""The sections of a recipe: every key with its unit and its default (`config.Recipe` has them all).

What a key means is the text under it; docs/recipe.md is written from here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from r1kit.config.strict import Name, Strict

Language = Literal["en", "ko", "zh"]
LossName = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
ContaminationMode = Literal["exact", "13-gram", "8-gram", "template"]


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


class SFTOptimConfig(OptimConfig):
    """What fine-tuning starts from: the R1 paper's cosine from 5e-5 to a tenth of it."""

    lr: float = Field(5e-5, gt=0)
    schedule: Literal["constant", "cosine", "wsd"] = "cosine"


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
    process: float = Field(0.0, ge=0)
    """weight of the share of the thinking's equations that are true: a reward of the way, not of
    the outcome; R1 has none"""
    preference: float = Field(0.0, ge=0)
    """weight of what a judge says; only stage `final` has one, and asks it about general prompts"""


class RLConfig(Strict):
    """A stage of reinforcement learning: GRPO and its variants. You say problems a step and
    completions a problem."""

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


class ReasoningConfig(RLConfig):
    """Stage `reasoning`: RL as in `zero` from the cold start, with the language reward."""

    rewards: RewardConfig = RewardConfig(language=1.0)


class SFTConfig(Strict):
    """Supervised fine-tuning: conversations are imitated, their last turn only."""

    epochs: int = Field(2, ge=1)
    """times every conversation is seen (R1: 2 to 3)"""
    batch: int = Field(128, ge=1)
    """conversations an update, over all processes"""
    checkpoint_every: int = Field(100, ge=1)
    """updates between resume points"""
    optim: SFTOptimConfig = SFTOptimConfig()


class Rules(Strict):
    """How strict the filters are through which samples become conversations (docs/curation.md)."""

    language: float = Field(0.9, ge=0, le=1)
    """least share of words in the question's language, of the thinking and of the answer"""
    contamination: tuple[ContaminationMode, ...] = ("exact", "13-gram", "8-gram")
    """overlaps with a benchmark that take a sample; the other modes are only counted"""
    lowest_pass_rate: float = Field(0.0, ge=0, le=1)
    """of the samples of a problem"""
    highest_pass_rate: float = Field(1.0, ge=0, le=1)
    """of the samples of a problem; below 1 leaves out what the sampler always solves"""
    similarity: float = Field(0.8, gt=0)
    """estimated Jaccard similarity from which on two samples are nearly the same; above 1 is off"""
    per_problem: int = Field(4, ge=1)
    """samples kept of a problem, the shortest"""


class KeepConfig(Strict):
    """Sample and keep: what is drawn, and what is kept of it."""

    n_problems: int = Field(1000, ge=1)
    """problems of the train split"""
    n_completions: int = Field(4, ge=1)
    """samples a problem"""
    max_tokens: int = Field(256, ge=1)
    """longest sample, tokens"""
    temperature: float = Field(1.0, gt=0)
    """of sampling"""
    top_p: float = Field(1.0, gt=0, le=1)
    """1 cuts nothing"""
    rules: Rules = Rules()


class TunedConfig(Strict):
    """A stage that fine-tunes the base on what another stage's model has sampled."""

    sample: KeepConfig = KeepConfig()
    n_general: int = Field(0, ge=0)
    """conversations of the general task, added as they are"""
    sft: SFTConfig = SFTConfig()


class FinalConfig(RLConfig):
    """Stage `final`: reasoning prompts by rules, and in the last share of the steps general prompts
    by a judge as well. R1: 1,700 steps, the last 400 with preferences, at temperature 0.7."""

    temperature: float = Field(0.7, gt=0)
    rewards: RewardConfig = RewardConfig(language=1.0)
    preference_share: float = Field(0.235, ge=0, le=1)
    """of the steps, the last ones: with general prompts and a judge"""
    general_share: float = Field(0.5, ge=0, le=1)
    """of the problems in those steps"""
    general_rewards: RewardConfig = RewardConfig(accuracy=0, language=1.0, preference=1.0)
    """of general prompts; their accuracy is known and does not count"""
    judge_url: str | None = None
    """an OpenAI-compatible server that judges; None: the reward models trained here"""
    judge_model: str | None = None
    """its name on that server; None: the only one there"""


class StudentConfig(Strict):
    """One `[[distill.students]]` entry: a model of its own, taught by the teacher's data alone."""

    name: Name
    """of the student; part of the names of its checkpoints"""
    model: ModelConfig = ModelConfig()
    """its shape, or an existing base"""
    tokens: int = Field(1_000_000, ge=1)
    """tokens its base is pretrained on (not when model.path is set)"""
    lr: float | None = Field(None, gt=0)
    """peak of its fine-tuning; None: that of distill.sft"""
    twin: bool = False
    """whether the same base is also trained by reinforcement learning alone, to compare"""


class DistillConfig(Strict):
    """Stage `distill`: students are fine-tuned on the data of `rejection`; no RL."""

    students: tuple[StudentConfig, ...] = ()
    data: str | None = None
    """a file of conversations, such as `r1 sample` writes: then the recipe makes students alone;
    None: the data of stage rejection"""
    sft: SFTConfig = SFTConfig()
    twin: RLConfig = RLConfig()

    @model_validator(mode="after")
    def _names_differ(self) -> DistillConfig:
        if len({student.name for student in self.students}) < len(self.students):
            raise ValueError("two students have the same name")
        return self


class AblationConfig(Strict):
    """One `[[ablations]]` entry: a stage once more, with other settings."""

    name: Name
    """of the ablation; part of the names of its checkpoints"""
    of: Literal["zero", "reasoning", "final"]
    """the stage; what is not changed is as there"""
    change: dict[str, Any] = Field({})
    """settings of that stage by their keys: { n_steps = 40, rewards = { language = 0 } }"""


class GeneralConfig(Strict):
    """Prompts that are not reasoning: their task, for data, the final stage and measuring."""

    name: str = "general"
    """the task: "general", or "file.py:Class" of a kind with `conversation(index)`"""
    level: int = Field(1, ge=1)
    """difficulty"""


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
    n_general: int = Field(200, ge=1)
    """different held-out general prompts, where the recipe has a general task"""
    samples: int = Field(1, ge=1)
    """k, completions a problem; with several, the majority's answer is measured too"""
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
