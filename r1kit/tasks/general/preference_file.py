"""Read preference pairs and safety labels in TRL's formats, and prompts, for the general prompts.

pairs    {"prompt": ..., "chosen": ..., "rejected": ...}, texts or lists of messages; the prompt
         may be left out if both completions begin with it, also as in Anthropic's hh-rlhf
labels   {"prompt": ..., "completion": ..., "label": true} (safe) or false (unsafe)
prompts  {"prompt": ...}, or a row of any other kind, of which only the prompt is read
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, Generic, TypeVar

from r1kit.errors import DataError
from r1kit.files.json_lines import JsonRow, bad_lines
from r1kit.files.rows import Faults, RowWatch, numbered_rows, source_stem, unit_of
from r1kit.renderers.shapes import prompt_messages, split_thinking, turns_of
from r1kit.tasks.base import HELD_OUT_SHARE, hash_share
from r1kit.tasks.general.preference import Preference, Safety
from r1kit.types import Message, Problem, Split
from r1kit.verify.language import language_of

E = TypeVar("E", Preference, Safety, Problem)

SAFE_LABELS = {"safe": True, "unsafe": False, "true": True, "false": False, "1": True, "0": False}
"""labels as texts"""
_HH_TURN = re.compile(r"\n\n(Human|Assistant): ?")


class UnusableError(Exception):
    """A row of the right form that teaches nothing; the message says why in a phrase."""


@dataclass
class ExampleFile(Generic[E]):
    """A file of pairs, labels or prompts as it was read."""

    source: str
    examples: list[E] = field(default_factory=list)
    invalid: Faults = field(default_factory=list)
    unusable: Counter[str] = field(default_factory=Counter)
    """why rows are left out → how many"""

    @property
    def n_rows(self) -> int:
        return len(self.examples) + len(self.invalid) + sum(self.unusable.values())

    def error(self) -> DataError | None:
        """Return the error for rows of another form, or for a file without any example."""
        if self.invalid:
            listed = bad_lines(self.source, sorted(self.invalid), unit_of(self.source))
            return DataError(f"{listed}; correct or delete them.")
        if not self.examples:
            reasons = ", ".join(f"{n:,} {why}" for why, n in self.unusable.items()) or "it is empty"
            return DataError(f"{self.source} has nothing to learn from: {reasons}.")
        return None

    def part(self, split: Split, limit: int | None = None, seed: int = 0) -> list[E]:
        """Return the examples of a split, which the hash of the prompt decides, drawn at random.

        Raises DataError if there are none.
        """
        held_out = {problem_of(example).id: hash_share(prompt_text(example))
                    for example in self.examples}  # fmt: skip
        threshold = max(1 / HELD_OUT_SHARE, min(held_out.values()) * 1.001)
        chosen = [
            example
            for example in self.examples
            if (held_out[problem_of(example).id] < threshold) == (split == "held_out")
        ]
        if not chosen:
            raise DataError(f"{self.source} has too few prompts to hold some out; add rows.")
        random.Random(f"{source_stem(self.source)}/{split}/{seed}").shuffle(chosen)
        return chosen[:limit]


def read_examples(
    source: str, convert: Callable[[JsonRow, str], E], watch: RowWatch = iter
) -> ExampleFile[E]:
    """Read a source with one of the three functions below. Raises DataError if it is unreadable."""
    file: ExampleFile[E] = ExampleFile(source)
    stem = source_stem(source)
    for number, row in watch(numbered_rows(source, file.invalid)):
        try:
            file.examples.append(convert(row, f"{stem}/{number}"))
        except ValueError as error:
            file.invalid.append((number, str(error)))
        except UnusableError as error:
            file.unusable[str(error)] += 1
    return file


@lru_cache(maxsize=8)  # both splits are of one file
def example_file(source: str, convert: Callable[[JsonRow, str], E]) -> ExampleFile[E]:
    """Read a source, once. Raises DataError also for rows of another form, or without any."""
    file = read_examples(source, convert)
    if error := file.error():
        raise error
    return file


def pair_of(row: JsonRow, name: str) -> Preference:
    """Return a preference pair; only the answers, not the thinking, as they are judged alone."""
    if "chosen" not in row or "rejected" not in row:
        raise ValueError('has no "chosen" and "rejected"')
    prompt, chosen, rejected = _prompt_and_completions(row)
    _, chosen_answer = chosen
    _, rejected_answer = rejected
    if not chosen_answer or not rejected_answer:
        raise UnusableError("without an answer")
    if chosen_answer == rejected_answer:
        raise UnusableError("with two equal answers")
    return Preference(_problem(prompt, name), chosen_answer, rejected_answer, "helpful", "labelled")


def label_of(row: JsonRow, name: str) -> Safety:
    """Return a completion, thinking included, with its label."""
    labels = [row[key] for key in ("label", "is_safe", "safe") if row.get(key) is not None]
    is_safe = SAFE_LABELS.get(str(labels[0]).lower()) if labels else None
    if is_safe is None:
        raise ValueError('has no true (safe) or false (unsafe) at "label"')
    completion = row.get("completion", row.get("response"))
    thinking, answer = _completion(completion, "completion")
    if not answer and not thinking:
        raise UnusableError("without a completion")
    return Safety(_problem(prompt_messages(row), name), thinking, answer, is_safe)


def prompt_of(row: JsonRow, name: str) -> Problem:
    """Return the prompt of a row of any kind."""
    if row.get("prompt") is None and "chosen" in row and "rejected" in row:
        prompt, _, _ = _prompt_and_completions(row)
    else:
        prompt = prompt_messages(row)
    return _problem(prompt, name)


def problem_of(example: Preference | Safety | Problem) -> Problem:
    """Return the prompt of an example, as a problem without a gold answer."""
    return example if isinstance(example, Problem) else example.problem


def prompt_text(example: Preference | Safety | Problem) -> str:
    """Return the text of a prompt, each run of spaces as one."""
    return " ".join(" ".join(m.content for m in problem_of(example).messages).split())


Completed = tuple[str | None, str]
"""thinking and answer of a completion"""


def _problem(prompt: tuple[Message, ...], name: str) -> Problem:
    if not prompt or prompt[-1].role != "user":
        raise ValueError("has a prompt that does not end with the user")
    language = language_of(prompt[-1].content[:500])
    return Problem(name, "general", prompt, "", language, {"kind": "prompt"}, needs_thinking=False)


def _prompt_and_completions(row: JsonRow) -> tuple[tuple[Message, ...], Completed, Completed]:
    chosen, rejected = row["chosen"], row["rejected"]
    if isinstance(chosen, list) and isinstance(rejected, list):
        before, last = _common_turns(turns_of(chosen), turns_of(rejected))
        prompt = prompt_messages(row) if row.get("prompt") is not None else before
        first, second = ((m.reasoning, m.content.strip()) for m in last)
        return prompt, first, second
    if not isinstance(chosen, str) or not isinstance(rejected, str):
        raise ValueError('has a "chosen" or "rejected" that is neither a text nor messages')
    if row.get("prompt") is not None:
        return prompt_messages(row), split_thinking(chosen), split_thinking(rejected)
    prompt, start = _common_text(chosen, rejected)
    return prompt, split_thinking(chosen[start:]), split_thinking(rejected[start:])


def _common_turns(
    chosen: tuple[Message, ...], rejected: tuple[Message, ...]
) -> tuple[tuple[Message, ...], tuple[Message, Message]]:
    if chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        raise ValueError('has "chosen" or "rejected" messages that do not end with the assistant')
    if len(chosen) > 1 and chosen[:-1] != rejected[:-1]:
        raise ValueError('has "chosen" and "rejected" messages with different prompts')
    return chosen[:-1], (chosen[-1], rejected[-1])


def _common_text(chosen: str, rejected: str) -> tuple[tuple[Message, ...], int]:
    """Return the prompt with which both texts begin, and its length."""
    pairs = zip(chosen, rejected, strict=False)
    start = next((i for i, (one, other) in enumerate(pairs) if one != other), len(chosen))
    turns = [turn for turn in _HH_TURN.finditer(chosen) if turn.end() <= start]
    if turns and turns[-1][1] == "Assistant":
        messages = [
            Message(
                "user" if turn[1] == "Human" else "assistant",
                chosen[turn.end() : after.start()].strip(),
            )
            for turn, after in pairwise(turns)
        ]
        return tuple(messages), turns[-1].end()
    start = max(chosen.rfind(" ", 0, start), chosen.rfind("\n", 0, start)) + 1  # whole words
    if not chosen[:start].strip():
        raise ValueError('has no "prompt", and "chosen" and "rejected" begin with none')
    return (Message("user", chosen[:start].strip()),), start


def _completion(value: Any, key: str) -> Completed:
    if isinstance(value, list):
        last = turns_of(value)[-1]
        return last.reasoning, last.content.strip()
    if not isinstance(value, str):
        raise ValueError(f'has no text or messages at "{key}"')
    return split_thinking(value)
