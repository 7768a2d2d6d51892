"""Published sizes of the hub models that shipped recipes name, to plan them without the hub.

A plan for stated hardware needs a model's config and nothing else. Sources: the config.json of each
repository.
"""

from __future__ import annotations

from typing import Any

LLAMA_3 = {"vocab_size": 128_256, "max_position_embeddings": 131_072, "num_key_value_heads": 8}
QWEN_2 = {"vocab_size": 152_064, "max_position_embeddings": 131_072}
SMALL_QWEN_2 = {
    "vocab_size": 151_936, "max_position_embeddings": 32_768, "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}  # fmt: skip
QWEN_2_0_5B = {**SMALL_QWEN_2, "hidden_size": 896, "intermediate_size": 4864,
               "num_hidden_layers": 24, "num_attention_heads": 14}  # fmt: skip
QWEN_2_1_5B = {**SMALL_QWEN_2, "hidden_size": 1536, "intermediate_size": 8960,
               "num_hidden_layers": 28, "num_attention_heads": 12}  # fmt: skip
KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("llama", {
        "vocab_size": 49_152, "max_position_embeddings": 8192, "hidden_size": 576,
        "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "tie_word_embeddings": True,
    }),
    "Qwen/Qwen2.5-0.5B": ("qwen2", QWEN_2_0_5B),
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": ("qwen2", QWEN_2_0_5B),
    "Qwen/Qwen2.5-1.5B": ("qwen2", QWEN_2_1_5B | {"max_position_embeddings": 131_072}),
    "Qwen/Qwen2.5-Math-1.5B": ("qwen2", QWEN_2_1_5B | {"max_position_embeddings": 4096}),
    "Qwen/Qwen2.5-Math-7B": ("qwen2", {
        **QWEN_2, "max_position_embeddings": 4096, "hidden_size": 3584, "intermediate_size": 18_944,
        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
    }),
    "Qwen/Qwen2.5-14B": ("qwen2", {
        **QWEN_2, "hidden_size": 5120, "intermediate_size": 13_824, "num_hidden_layers": 48,
        "num_attention_heads": 40, "num_key_value_heads": 8,
    }),
    "Qwen/Qwen2.5-32B": ("qwen2", {
        **QWEN_2, "hidden_size": 5120, "intermediate_size": 27_648, "num_hidden_layers": 64,
        "num_attention_heads": 40, "num_key_value_heads": 8,
    }),
    "meta-llama/Llama-3.1-8B": ("llama", {
        **LLAMA_3, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
        "num_attention_heads": 32,
    }),
    "meta-llama/Llama-3.3-70B-Instruct": ("llama", {
        **LLAMA_3, "hidden_size": 8192, "intermediate_size": 28_672, "num_hidden_layers": 80,
        "num_attention_heads": 64,
    }),
    "deepseek-ai/DeepSeek-V3-Base": ("deepseek_v3", {"max_position_embeddings": 163_840}),
}  # fmt: skip
"""hub id -> model type and the sizes that differ from transformers' defaults for it"""


def known_config(hub_id: str) -> Any | None:
    """Return the transformers config of a known model, else None."""
    from transformers import AutoConfig

    if hub_id not in KNOWN:
        return None
    kind, sizes = KNOWN[hub_id]
    return AutoConfig.for_model(kind, **sizes)
