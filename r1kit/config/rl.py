"""Sections of reinforcement learning: `[zero]`, `[reasoning]`, `[final]` and `[[ablations]]`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from r1kit.config.optim import RLOptimConfig
from r1kit.config.strict import Name, StrictModel, added

KLEstimator = Literal["k3", "unbiased"]
LossType = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]
ImportanceSamplingMode = Literal["auto", "none", "token_truncate", "sequence_mask", "dppo_mask"]


class RewardConfig(StrictModel):
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


class RLConfig(StrictModel):
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
    loss_type: LossType = "grpo"
    """loss of a token and how tokens are averaged; docs/zero.md has the formulas"""
    epsilon: float = Field(0.2, gt=0)
    """the ratio is clipped below at 1 - epsilon; 1 or more never clips"""
    epsilon_high: float | None = Field(None, gt=0)
    """the ratio is clipped above at 1 + epsilon_high; none: the same as epsilon"""
    beta: float = Field(0.0, ge=0)
    """weight of the KL term in the loss; 0 keeps no reference model"""
    kl_estimator: KLEstimator = "k3"
    """KL term: k3, as in R1, whose gradient is not that of the KL; or unbiased, which is k3 times
    the ratio of the policies (DeepSeek-V3.2)"""
    ref_model_sync_steps: int = Field(400, ge=1)
    """number of steps after which the reference is replaced by the current policy"""
    dynamic_sampling: bool = False
    """DAPO: sample more problems until N groups are mixed (neither all right nor all wrong)"""
    dynamic_rounds: int = Field(3, ge=1)
    """maximum number of sampling rounds per step; then the step uses the groups it has"""
    importance_sampling_mode: ImportanceSamplingMode = added("auto")
    """correction of the difference between sampler and learner (docs/scaling.md has the formulas):
    auto is none for the local engine and token_truncate for vLLM"""
    importance_sampling_limit: float | None = added(None, gt=0)
    """constant C of that correction; None: 2 for token_truncate, 1.05 for sequence_mask, 0.2 for
    dppo_mask"""
    max_staleness: Literal[0, 1] = added(0)
    """number of steps that the weights of the sampler may be older than the learner's: with 1 the
    next step is sampled while the learner works, which needs sampler.kind = "vllm" """
    mask_truncated_completions: bool = False
    """leave completions that were cut at max_tokens out of the loss; else their reward counts"""
    overlong_buffer: int = Field(0, ge=0)
    """DAPO: tokens before max_tokens over which a length penalty grows to -1; 0 is off"""
    optim: RLOptimConfig = RLOptimConfig()
    checkpoint_every: int = Field(10, ge=1)
    """steps between checkpoints for resuming"""
    eval_steps: int = Field(0, ge=0)
    """steps between evaluations of the policy in training, on `[[evals]]` or else on the held-out
    problems of `[eval]`; a checkpoint is saved after each, and the best one is kept; 0 is off"""
    load_best_model_at_end: bool = False
    """the stage ends with the checkpoint that has the best evaluation (mean pass@1), and later ones
    are deleted; needs eval_steps"""
    sample_every: int = Field(5, ge=1)
    """steps between groups logged to samples.jsonl"""
    rewards: RewardConfig = RewardConfig()

    @model_validator(mode="after")
    def _best_needs_evaluations(self) -> RLConfig:
        if self.load_best_model_at_end and not self.eval_steps:
            raise ValueError(
                "load_best_model_at_end needs evaluations to choose from; set eval_steps, for "
                "example to 10"
            )
        return self

    def is_evaluated(self, step: int) -> bool:
        """Return True after every `eval_steps` steps, and after the last step."""
        return self.eval_steps > 0 and (step % self.eval_steps == 0 or step == self.n_steps)

    def is_saved(self, step: int) -> bool:
        """Return True after every `checkpoint_every` steps, every evaluation and the last step."""
        is_regular = step % self.checkpoint_every == 0 or step == self.n_steps
        return is_regular or self.is_evaluated(step)


class ZeroConfig(RLConfig):
    """Stage `zero`: reinforcement learning of the base, with rule-based rewards alone. The batch
    size is given as problems per step and completions per problem."""

    n_steps: int = Field(100, ge=0)
    """number of rollout phases (sample, learn, publish); 0 leaves the stage out"""


class ReasoningConfig(RLConfig):
    """Stage `reasoning`: RL as in `zero`, from the cold start, with the language reward."""

    rewards: RewardConfig = RewardConfig(language=1.0)


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


class AblationConfig(StrictModel):
    """An `[[ablations]]` entry: a stage repeated with other settings."""

    name: Name
    """name of the ablation; part of the names of its checkpoints"""
    of: Literal["zero", "reasoning", "final"]
    """the stage to repeat; settings that are not changed stay the same"""
    change: dict[str, Any] = Field({})
    """changed settings by their keys in that stage: { n_steps = 40, rewards = { language = 0 } }"""
