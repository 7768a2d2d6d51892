"""Streamed completions, split into thinking and answer as their text arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from r1kit.renderers.thinking import END_THINK, THINK
from r1kit.types import ToolCall

Part = Literal["thinking", "answer"]
"""a part of a completion"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of streamed text, classified as thinking, answer or tool call."""

    kind: Part | Literal["call"]
    text: str
    """text of the part; of a call, the next piece of its arguments"""
    call: ToolCall | None = None
    """set in the first piece of a call: its id and name, without arguments"""


class StreamParser:
    """A streaming `parse`, for text that arrives in arbitrary chunks.

    The joined pieces of a kind, without trailing whitespace, equal the result of `parse`, except
    for the answer of unfinished thinking (`parse` returns None). Leading whitespace of each part is
    dropped at once; only a possible prefix of a tag is held back.
    """

    def __init__(self, opened: bool = False) -> None:
        """Begin in the thinking if the prompt has `opened` it."""
        self._kind: Part = "thinking" if opened else "answer"
        self.next_tag = END_THINK if opened else THINK
        """the next tag that switches the part; empty if no tag does"""
        self._held = ""
        self._begun_parts: set[str] = set()

    @classmethod
    def inside(cls, part: Part, has_text: bool = False) -> Self:
        """Return a parser for text that continues a part, which may have text already.

        In an answer, thinking tags are plain text.
        """
        parser = cls(opened=part == "thinking")
        if part == "answer":
            parser.next_tag = ""
        if has_text:
            parser._begun_parts.add(part)
        return parser

    @property
    def is_thinking(self) -> bool:
        """True if the next text is thinking."""
        return self._kind == "thinking"

    @property
    def is_holding(self) -> bool:
        """True if text is held back that may begin a tag."""
        return bool(self._held)

    def close(self) -> list[Piece]:
        """End the thinking here, without a tag in the text, and return its remaining pieces."""
        pieces = self.finish()
        self._turn()
        return pieces

    def feed(self, chunk: str) -> list[Piece]:
        """Return the pieces that `chunk` completes, in order; none of them is empty."""
        text, pieces = self._held + chunk, []
        while self.next_tag and self.next_tag in text:
            before, _, text = text.partition(self.next_tag)
            pieces += self._emit(before)
            self._turn()
        keep = len(text) - partial_tag(text, self.next_tag)
        self._held = text[keep:]
        return pieces + self._emit(text[:keep])

    def finish(self) -> list[Piece]:
        """End the text and return held-back characters, which turned out not to begin a tag."""
        text, self._held = self._held, ""
        return self._emit(text)

    def _turn(self) -> None:
        starts_thinking = self.next_tag == THINK
        self._kind = "thinking" if starts_thinking else "answer"
        self.next_tag = END_THINK if starts_thinking else ""

    def _emit(self, text: str) -> list[Piece]:
        if self._kind not in self._begun_parts:
            text = text.lstrip()
        if not text:
            return []
        self._begun_parts.add(self._kind)
        return [Piece(self._kind, text)]


def partial_tag(text: str, tag: str) -> int:
    """Return the length of the longest suffix of `text` that is a proper prefix of `tag`."""
    longest = min(len(text), max(len(tag) - 1, 0))
    return next((n for n in range(longest, 0, -1) if tag.startswith(text[-n:])), 0)
