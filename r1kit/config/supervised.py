"""Sections of supervised training: pretraining, fine-tuning and the reward models."""

from __future__ import annotations

from pydantic import Field

from r1kit.config.optim import PreferenceOptimConfig, PretrainOptimConfig, SFTOptimConfig
from r1kit.config.strict import StrictModel, added


class BaseConfig(StrictModel):
    """Stage `base`: pretrain a new model on the generated corpus (not if model.path is set)."""

    tokens: int = Field(4_000_000, ge=1)
    """number of training tokens"""
    batch_tokens: int = Field(8192, ge=64)
    """tokens per optimizer step, over all processes"""
    checkpoint_every: int = Field(100, ge=1)
    """steps between checkpoints for resuming"""
    router_bias_update_rate: float = Field(0.001, ge=0, exclude_if=lambda rate: rate == 0.001)
    """for mixtures of experts with a bias per expert: amount by which the bias moves after every
    update, up for experts below the mean load and down for those above (DeepSeek-V3: 0.001); 0: the
    load is not balanced"""
    optim: PretrainOptimConfig = PretrainOptimConfig()


class SFTConfig(StrictModel):
    """Supervised fine-tuning on conversations; only the last turn counts in the loss."""

    epochs: int = Field(2, ge=1)
    """number of passes over the conversations (R1: 2 to 3)"""
    batch: int = Field(128, ge=1)
    """conversations per update, over all processes"""
    max_length: int | None = added(None, ge=1)
    """tokens, prompt included, above which a conversation is left out, never cut; none: one that is
    longer than the model's context is an error"""
    checkpoint_every: int = Field(100, ge=1)
    """updates between checkpoints for resuming"""
    optim: SFTOptimConfig = SFTOptimConfig()


class PreferenceConfig(StrictModel):
    """Stages `preference/helpful` and `preference/harmless`: one reward model each."""

    n_pairs: int = Field(4096, ge=2)
    """number of answer pairs for the helpful model (R1: 66,000) and of labelled completions, half
    of them safe, for the harmless model (R1: 106,000); of a file, the maximum number"""
    pairs: str | None = added(None)
    """file of preference pairs for the helpful model: `prompt`, `chosen`, `rejected` (TRL); none:
    generated pairs"""
    labels: str | None = added(None)
    """file of labelled completions for the harmless model: `prompt`, `completion` and `label`, true
    if it is safe (TRL's unpaired preference); none: generated ones"""
    max_length: int | None = added(None, ge=1)
    """tokens, prompt included, above which a completion of a file, with its pair, is left out;
    none: those that do not fit into the model's context"""
    batch: int = Field(256, ge=1)
    """pairs, or labelled completions, per optimizer step, over all processes"""
    epochs: int = Field(1, ge=1)
    """number of passes over the data"""
    optim: PreferenceOptimConfig = PreferenceOptimConfig()
    checkpoint_every: int = Field(100, ge=1)
    """steps between checkpoints for resuming"""
