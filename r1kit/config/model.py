"""Section `[model]`: an existing base, or the shape of a new one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from r1kit.config.strict import StrictModel


class ModelConfig(StrictModel):
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
