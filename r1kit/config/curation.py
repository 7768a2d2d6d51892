"""Sections of stages that fine-tune on samples: how many, and which are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1kit.config.strict import StrictModel, added
from r1kit.config.supervised import SFTConfig

ContaminationMode = Literal["exact", "13-gram", "8-gram", "template"]


class FilterRules(StrictModel):
    """Thresholds of the filters that turn samples into conversations (docs/curation.md)."""

    language: float = Field(0.9, ge=0, le=1)
    """minimum share of words in the question's language, in the thinking and in the answer"""
    contamination: tuple[ContaminationMode, ...] = ("exact", "13-gram", "8-gram")
    """kinds of benchmark overlap that drop a sample; the other kinds are only counted"""
    lowest_pass_rate: float = Field(0.0, ge=0, le=1)
    """minimum share of a problem's samples that are correct"""
    highest_pass_rate: float = Field(1.0, ge=0, le=1)
    """maximum share of a problem's samples that are correct; below 1 drops problems that the
    sampler always solves"""
    similarity: float = Field(0.8, gt=0)
    """estimated Jaccard similarity from which two samples are near-duplicates; above 1 is off"""
    per_problem: int = Field(4, ge=1)
    """samples kept per problem, the shortest ones"""


class RejectionSamplingConfig(StrictModel):
    """Rejection sampling: how many completions are sampled, and which are kept."""

    n_problems: int = Field(1000, ge=1)
    """number of problems of the train split"""
    n_completions: int = Field(4, ge=1)
    """completions per problem"""
    max_tokens: int = Field(256, ge=1)
    """maximum length of a completion, tokens"""
    temperature: float = Field(1.0, gt=0)
    """sampling temperature"""
    top_p: float = Field(1.0, gt=0, le=1)
    """nucleus sampling threshold; 1 is off"""
    rules: FilterRules = FilterRules()


class FineTuneConfig(StrictModel):
    """A stage that fine-tunes the base on samples of another stage's model, or on your own data."""

    sample: RejectionSamplingConfig = RejectionSamplingConfig()
    traces: str | None = added(None)
    """file of questions with long chains of thought that replaces the samples: nothing is sampled,
    and the stage that would be sampled from is not needed; docs/tasks.md has the shapes"""
    n_traces: int | None = added(None, ge=1)
    """maximum number of traces, drawn at random; none: all"""
    conversations: str | None = added(None)
    """file of general conversations, with or without thinking, added to samples or traces"""
    n_conversations: int | None = added(None, ge=1)
    """maximum number of these conversations, drawn at random; none: all"""
    n_general: int = Field(0, ge=0)
    """number of conversations from the general task, added unfiltered"""
    sft: SFTConfig = SFTConfig()
