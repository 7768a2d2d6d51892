"""Section `[model]`: an existing base, or the shape of a new one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from r1kit.config.strict import StrictModel


class ModelConfig(StrictModel):
    """The policy: a Hugging Face folder, a GGUF file, a hub id, or the shape of a new model."""

    path: str | None = None
    """folder, .gguf file or hub id of an existing base; None: a new model of the shape below"""
    chat_template: Literal["own", "r1-zero", "r1-zero-prefilled", "plain"] = "own"
    """chat template of an existing base: "own": the one it has, or "r1-zero-prefilled" without one;
    "r1-zero": the prompt of table 1 of the R1 paper, with answers between `<answer>` tags;
    "r1-zero-prefilled": the same, with the prompt ending in `<think>`, which small bases seldom
    write by themselves; "plain": "Question: ... Answer:" on lines"""
    instruction: str | None = Field(None, exclude_if=lambda instruction: instruction is None)
    """line that the chat template of an existing base adds to every question; "": none; None: for a
    template of its own without thinking "First think step by step between <think> and </think>,
    then give the final answer in \\boxed{}.", in the recipe's only language or in English, and none
    for others and for students"""
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
        has_prompt = self.chat_template != "own" or self.instruction is not None
        if has_prompt and self.path is None:
            raise ValueError(
                "chat_template and instruction are for an existing base, and a new model has "
                "r1kit's own prompt; set path, or leave both out"
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
