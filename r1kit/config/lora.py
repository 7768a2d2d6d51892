"""Section `[lora]`: train small adapters instead of all weights."""

from __future__ import annotations

from pydantic import Field

from r1kit.config.strict import StrictModel


class LoraConfig(StrictModel):
    """Low-rank adapters (LoRA, arXiv 2106.09685), through the library peft, whose names the keys
    have. With this section every stage after `base` trains adapters on frozen weights and leaves
    their sum as an ordinary model: gradients and optimizer state shrink to those of the adapters.
    Adapters need about ten times the learning rate of full training, and AdamW."""

    r: int = Field(16, ge=1)
    """rank of the adapters"""
    lora_alpha: float = Field(32.0, gt=0)
    """scale: an adapter adds lora_alpha / r times its product of matrices"""
    target_modules: str | tuple[str, ...] = "all-linear"
    """layers with adapters: "all-linear" is every linear layer except the head, in a mixture of
    experts every one of attention; else the ends of their names, such as ["q_proj", "v_proj"]"""
