"""Sections about problems: their tasks, the general prompts and the showcase."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1kit.config.strict import StrictModel

Language = Literal["en", "ko", "zh"]


class TaskConfig(StrictModel):
    """A `[[tasks]]` entry: a source of problems with a verifier."""

    name: str
    """a generated family ("equation", "series", "countdown", "arithmetic", "program"), "general"
    (conversation), a public set ("humaneval", "mbpp", "livecodebench", "codeforces") or
    "file.py:Class" """
    path: str | None = None
    """file of a public set's rows, .jsonl or .jsonl.gz; None downloads the set from the hub"""
    level: int = Field(1, ge=1)
    """difficulty; each task documents its levels"""
    weight: float = Field(1.0, gt=0)
    """share of the problems, relative to the other tasks"""


class ShowcaseConfig(StrictModel):
    """A `[[showcase]]` entry: a question for any of the recipe's tasks."""

    question: str
    """the question as a user would ask it, in any of the recipe's languages"""
    answer: str
    """the correct answer, a number"""


class GeneralConfig(StrictModel):
    """Task of the non-reasoning prompts, for data, the final stage and benchmarks."""

    name: str = "general"
    """name of the task: "general", or "file.py:Class" of a class with `conversation(index)`"""
    level: int = Field(1, ge=1)
    """difficulty"""
