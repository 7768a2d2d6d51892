"""Sections `[*.optim]`: the optimizer settings, with the defaults of each kind of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1kit.config.strict import StrictModel

OptimizerName = Literal["muon", "adamw", "adamw8bit"]


class OptimConfig(StrictModel):
    """Optimizer settings: AdamW alone, or together with Muon for the matrices of the layers."""

    optimizer: OptimizerName = "adamw"
    """muon: Muon for matrices inside the layers, AdamW for the rest; adamw: AdamW for everything;
    adamw8bit: AdamW whose state has 8 bits, through bitsandbytes, on an NVIDIA GPU"""
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

    optimizer: OptimizerName = "muon"
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


class PreferenceOptimConfig(OptimConfig):
    """Defaults for reward models."""

    lr: float = Field(6e-6, gt=0)
