"""The compute of a stage: tokens and FLOPs, from its step records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def compute_spent(records: Iterable[Mapping[str, Any]], n_parameters: int) -> dict[str, float]:
    """Return the tokens trained on and sampled by a stage, from its step records, and its FLOPs.

    FLOPs per parameter: 6 per token trained on, 2 per token prefilled or sampled (Kaplan et al.
    2020, arXiv 2001.08361, section 2.1). Samples of other models, for its data, are not included.
    """
    trained = sampled = 0.0
    for record in records:
        trained += record["n_trained_tokens"]
        sampled += record.get("n_completion_tokens", 0.0) + record.get("n_prompt_tokens", 0.0)
    flops = n_parameters * (6 * trained + 2 * sampled)
    return {"trained_tokens": trained, "sampled_tokens": sampled, "flops": flops}
