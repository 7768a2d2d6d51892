"""Sections `[eval]` and `[[evals]]`: the evaluation of every stage."""

from __future__ import annotations

from pydantic import Field

from r1kit.config.strict import StrictModel


class EvalConfig(StrictModel):
    """Evaluation of every stage: held-out problems with k completions each."""

    n_problems: int = Field(400, ge=1)
    """number of distinct held-out problems"""
    n_general: int = Field(200, ge=1)
    """number of distinct held-out general prompts, if the recipe has a general task"""
    n_completions: int = Field(1, ge=1)
    """k, completions per problem; above 1, the majority answer is measured too"""
    temperature: float = Field(1.0, ge=0)
    """sampling temperature; 0 is greedy"""
    top_p: float = Field(1.0, gt=0, le=1)
    """nucleus sampling threshold; 1 is off"""
    max_tokens: int = Field(256, ge=1)
    """maximum length of a completion, tokens"""


class BenchmarkConfig(StrictModel):
    """A public benchmark on which every stage is measured besides the recipe's own problems
    ([benchmarks.md](benchmarks.md)). The sampling is that of the protocol."""

    name: str
    """name in the suite of `r1 eval`: gsm8k, math500, ..."""
    data: str | None = None
    """folder with local copies of the benchmarks; none: the Hugging Face hub"""
    protocol: str = "r1-paper"
    """r1-paper, open-r1, simple-evals or evalplus: prompts, temperature and top-p"""
    samples: int = Field(1, ge=1)
    """k, completions per problem"""
    limit: int | None = Field(None, ge=1)
    """maximum number of problems; none: all"""
    max_tokens: int | None = Field(None, ge=1)
    """maximum length of a completion, tokens; none: as in [eval]. The model's context limits it"""
