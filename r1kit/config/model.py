"""Section `[model]`: an existing base, or the shape of a new one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from r1kit.config.strict import StrictModel, added


class DeepseekV3Config(StrictModel):
    """Settings of `family = "deepseek_v3"` alone: latent attention and a mixture of experts.

    The keys and their meanings are those of the class of the same name in transformers.
    """

    q_lora_rank: int | None = Field(64, ge=1)
    """width of the latent from which queries are computed; none: directly from the hidden state"""
    kv_lora_rank: int = Field(32, ge=1)
    """width of the latent from which keys and values are computed; all that the cache holds of them
    besides the rotary part"""
    qk_nope_head_dim: int = Field(32, ge=1)
    """size of the part of query and key heads without positions"""
    qk_rope_head_dim: int = Field(16, ge=2, multiple_of=2)
    """size of their rotary part; its key is shared by all heads"""
    v_head_dim: int = Field(32, ge=1)
    """size of value heads"""
    n_routed_experts: int = Field(16, ge=2)
    """experts per layer among which the router chooses"""
    num_experts_per_tok: int = Field(4, ge=1)
    """experts that the router chooses for a token"""
    n_shared_experts: int = Field(1, ge=1)
    """experts that every token passes through"""
    moe_intermediate_size: int = Field(64, ge=1)
    """width inside an expert"""
    first_k_dense_replace: int = Field(1, ge=0)
    """first layers with an ordinary feed-forward block, as wide as `model.intermediate`"""
    n_group: int = Field(1, ge=1)
    """groups of experts; of each group at least two experts"""
    topk_group: int = Field(1, ge=1)
    """groups from which the experts of a token are chosen"""
    routed_scaling_factor: float = Field(1.0, gt=0)
    """factor of the routed experts' output, whose gates sum to 1 (DeepSeek-V3: 2.5)"""

    @model_validator(mode="after")
    def _can_choose(self) -> DeepseekV3Config:
        per_group, rest = divmod(self.n_routed_experts, self.n_group)
        if rest or per_group < 2:
            raise ValueError(
                f"n_routed_experts ({self.n_routed_experts}) must be n_group ({self.n_group}) "
                "times two or more"
            )
        if self.topk_group > self.n_group:
            raise ValueError(
                f"topk_group ({self.topk_group}) is larger than n_group ({self.n_group})"
            )
        if self.num_experts_per_tok > self.topk_group * per_group:
            raise ValueError(
                f"num_experts_per_tok ({self.num_experts_per_tok}) is larger than the number of "
                f"experts in the chosen groups ({self.topk_group * per_group})"
            )
        return self


class ModelConfig(StrictModel):
    """The policy: a Hugging Face folder, a GGUF file, a hub id, or the shape of a new model."""

    path: str | None = None
    """folder, .gguf file or hub id of an existing base; None: a new model of the shape below"""
    chat_template: Literal["own", "r1-zero", "r1-zero-prefilled", "plain"] = "own"
    """chat template of an existing base: "own": the one it has, or "r1-zero-prefilled" without one;
    "r1-zero": the prompt of table 1 of the R1 paper, with answers between `<answer>` tags;
    "r1-zero-prefilled": the same, with the prompt ending in `<think>`, which small bases seldom
    write by themselves; "plain": "Question: ... Answer:" on lines"""
    instruction: str | None = added(None)
    """line that the chat template of an existing base adds to every question; "": none; None: for a
    template of its own without thinking "First think step by step between <think> and </think>,
    then give the final answer in \\boxed{}.", in the recipe's only language or in English, and none
    for others and for students"""
    family: Literal["llama", "qwen3", "deepseek_v3"] = "llama"
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
    """key and value heads per layer; divides `n_heads`; not used by deepseek_v3"""
    max_positions: int = Field(2048, ge=64)
    """maximum length of prompt plus completion, tokens"""
    deepseek_v3: DeepseekV3Config | None = Field(None, exclude_if=lambda section: section is None)

    @model_validator(mode="after")
    def _shape_fits(self) -> ModelConfig:
        has_prompt = self.chat_template != "own" or self.instruction is not None
        if has_prompt and self.path is None:
            raise ValueError(
                "chat_template and instruction are for an existing base, and a new model has "
                "r1kit's own prompt; set path, or leave both out"
            )
        if self.deepseek_v3 is not None and self.family != "deepseek_v3":
            raise ValueError('[model.deepseek_v3] is for family = "deepseek_v3"')
        if self.hidden % self.n_heads or (self.hidden // self.n_heads) % 2:
            raise ValueError(
                f"hidden ({self.hidden}) must be an even multiple of n_heads ({self.n_heads})"
            )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_heads ({self.n_heads}) must be a multiple of n_kv_heads ({self.n_kv_heads})"
            )
        return self
