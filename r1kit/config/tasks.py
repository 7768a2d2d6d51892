"""Sections about problems: their tasks, the general prompts and the showcase."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from r1kit.config.strict import StrictModel, added

Language = Literal["en", "ko", "zh"]
Verifier = Literal["math", "choice", "exact", "code", "countdown"]


class TaskConfig(StrictModel):
    """A `[[tasks]]` entry: a source of problems with a verifier."""

    name: str | None = None
    """a generated family ("equation", "series", "countdown", "arithmetic", "program"), "general"
    (conversation), "sums" (for pretrained models), a public set ("gsm8k", "math",
    "countdown-tasks", "humaneval", "humanevalplus", "mbpp", "mbppplus", "livecodebench",
    "codeforces"), "file.py:Class", or any other name for the questions of `path`; none: the name of
    the file"""
    path: str | None = None
    """your own questions, or a local copy of a public set: a file (.jsonl, .json, .csv, .tsv, .gz
    of these, .parquet), or "repository:configuration:split" of the hub or of a folder; a public
    set without a path is downloaded"""
    verifier: Verifier | None = added(None)
    """how answers to the questions of `path` are verified: "math", "choice", "exact" (words),
    "code" or "countdown"; none: "choice", "code" or "countdown" if the file has columns of options,
    tests or numbers, else "math" """
    columns: dict[str, str] = added({})
    """columns of `path` by their meaning, such as { problem = "frage", answer = "meta.loesung" };
    problem, answer, id, language, options, tests, entry_point, numbers, target; common names are
    guessed (`r1 data FILE` shows them)"""
    held_out: float | str | None = added(None)
    """held-out questions of `path`: a share (more than 0, less than 1), a split of the same data
    set, or another file; none: one in ten. A question on both sides is left out of training"""
    instruction: str | None = added(None)
    """sentence after every question of `path`; none: "Answer with the letter of the right option."
    and the like, nothing for mathematics and words; for a sentence of the model see
    model.instruction"""
    on_bad_rows: Literal["error", "skip"] = added("error")
    """rows of `path` with missing or wrongly typed values, or a gold answer that the verifier
    refuses: "error" lists them and stops, "skip" leaves them out with a count"""
    level: int = Field(1, ge=1)
    """difficulty; each task documents its levels"""
    weight: float = Field(1.0, gt=0)
    """share of the problems, relative to the other tasks"""

    @model_validator(mode="after")
    def _is_readable(self) -> TaskConfig:
        if self.name is None and self.path is None:
            raise ValueError("it needs a name, or the path of a file of questions")
        if isinstance(self.held_out, float) and not 0 < self.held_out < 1:
            raise ValueError("held_out needs a share between 0 and 1, a split or a file")
        return self


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
    prompts: str | None = added(None)
    """file of prompts (a column `prompt`, `question` or `messages`, or the preference pairs) that
    replaces the generated ones; their answers are judged, and no rule verifies them"""
    harmful_prompts: str | None = added(None)
    """file of prompts that should be declined or answered with care: the harmless reward model
    judges their whole completions, the helpful one the answers to `prompts`"""
    level: int = Field(1, ge=1)
    """difficulty"""
