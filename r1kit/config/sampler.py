"""Section `[sampler]`: the engine that samples completions during a run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1kit.config.strict import StrictModel


class SamplerConfig(StrictModel):
    """The engine that samples the completions of every stage and evaluation. The result depends on
    it only through float rounding."""

    kind: Literal["local"] = "local"
    """local: r1kit's own engine, which runs the model in training itself"""
    max_num_seqs: int = Field(512, ge=1)
    """maximum number of completions sampled at once in one process"""
