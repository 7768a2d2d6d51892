"""Thinking tags: completions split into thinking and answer, and joined from them."""

from __future__ import annotations

from dataclasses import dataclass

THINK = "<think>"
END_THINK = "</think>"
THINKING_TAGS = (THINK, END_THINK)
"""tokens that are not special: they stay visible in decoded text"""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A completion split into thinking and answer.

    `<think>try 5</think>\\\\boxed{5}` is `Parsed("try 5", "\\\\boxed{5}", True)`.
    """

    thinking: str | None
    """text inside the first think block, stripped; None if no block was opened"""
    answer: str | None
    """everything outside that block, stripped; None if the thinking never ended"""
    well_formed: bool
    """True for a single think block at the very start and then an answer, neither of them blank"""

    def fits(self, needs_thinking: bool) -> bool:
        """True if well formed, or a plain answer without tags and no thinking is needed."""
        answer = self.answer or ""
        is_plain = self.thinking is None and bool(answer) and END_THINK not in answer
        return self.well_formed or (is_plain and not needs_thinking)


def parse(text: str, prefilled: bool = False) -> Parsed:
    """Split a whole completion; `prefilled` means that the prompt already ended in `<think>`."""
    before, opened, rest = ("", True, text) if prefilled else _cut(text, THINK)
    inside, closed, after = _cut(rest, END_THINK)
    if not opened:
        return Parsed(None, text.strip(), False)
    thinking = inside.strip()
    if not closed:
        return Parsed(thinking, None, False)
    answer = (before + after).strip()
    tags_fit = not before and THINK not in inside + after and END_THINK not in after
    return Parsed(thinking, answer, bool(tags_fit and thinking and answer))


def completion_text(reasoning: str | None, answer: str) -> str:
    """Join reasoning and answer: `<think>try 5</think>\\\\boxed{5}`; no tags without reasoning.

    Raises ValueError if a part itself contains a thinking tag, as it could not be parsed back.
    """
    if any(tag in part for tag in THINKING_TAGS for part in (reasoning or "", answer)):
        raise ValueError("reasoning and answer must not contain thinking tags")
    return answer if reasoning is None else f"{THINK}{reasoning}{END_THINK}{answer}"


def without_tags(text: str) -> str:
    """Replace the thinking tags of a completion with spaces."""
    return text.replace(THINK, " ").replace(END_THINK, " ")


def _cut(text: str, tag: str) -> tuple[str, bool, str]:
    before, found, after = text.partition(tag)
    return before, bool(found), after
