"""The contract of renderers: messages to prompt tokens and target turns, completions to parts.

Text never becomes a control token: message text is encoded separately from the template's tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from r1kit.renderers.encoding import (
    adds_bos,
    encode_completion,
    encode_text,
    with_one_bos,
    without_forged_tokens,
)
from r1kit.renderers.stream_parser import StreamParser
from r1kit.renderers.thinking import END_THINK, THINK, THINKING_TAGS, completion_text, parse
from r1kit.renderers.tool_formats import ToolFormat, tool_format_of
from r1kit.renderers.tool_text import calls_as_text, tools_as_text
from r1kit.types import Json, Message, ParsedCompletion

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt, and the part of the assistant's turn in which it ends.

    `RenderedPrompt([1, 3, 8, 4, 5], "thinking")`. `begun` is True if this part of the turn already
    has text, which the completion continues.
    """

    ids: list[int]
    part: Literal["start", "thinking", "answer"]
    """"start": the turn is empty, and the model chooses whether to think"""
    has_text: bool = False
    parser_type: type[StreamParser] = StreamParser
    """the kind of parser that reads the completion"""

    def stream_parser(self) -> StreamParser:
        """Return a parser for the completion."""
        if self.part == "start":
            return self.parser_type()
        return self.parser_type.inside(self.part, self.has_text)


class Tags(NamedTuple):
    """The texts that a dialect writes around thinking and answer; by default those of R1."""

    think: str = f"{THINK}\n"
    end_think: str = f"\n{END_THINK}\n\n"
    answer: str = ""
    end_answer: str = ""


class Renderer(ABC):
    """Renders the prompts and turns of one chat dialect, and parses its completions."""

    tags: ClassVar[Tags] = Tags()
    parser_type: ClassVar[type[StreamParser]] = StreamParser
    """the kind of parser that reads a streamed completion"""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    @abstractmethod
    def render_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Render messages to the prompt tokens [P], with at most one BOS in front."""

    @cached_property
    def tool_format(self) -> ToolFormat:
        """Format in which the model writes tool calls."""
        return tool_format_of(str(self.tokenizer.chat_template))

    def render_tools_prompt(self, messages: Sequence[Message], tools: Sequence[Json]) -> list[int]:
        """Render messages that have tools, calls or results; by default as text."""
        turns = calls_as_text(messages, self.tool_format)
        return self.render_prompt(tools_as_text(turns, tools, self.tool_format))

    def show_prompt(self, messages: Sequence[Message]) -> str:
        """Return the prompt of messages as the model reads it, control tokens included."""
        return str(self.tokenizer.decode(self.render_prompt(messages), skip_special_tokens=False))

    def encode_prompt(self, text: str) -> list[int]:
        """Encode a raw text prompt, after a BOS token if the tokenizer adds one."""
        tokenizer = self.tokenizer
        bos = [tokenizer.bos_token_id] if adds_bos(tokenizer) else []
        ids = without_forged_tokens(
            tokenizer, list(tokenizer.encode(text)), lambda: [*bos, *encode_text(tokenizer, text)]
        )
        return with_one_bos(ids, tokenizer.bos_token_id)

    @property
    def has_thinking(self) -> bool:
        """True if the chat template supports thinking, so that it can be turned on and off."""
        return True

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """Ids of the tokens that are no text.

        They are the special tokens of the tokenizer and the added tokens that the template writes
        around a message, without the thinking tags.
        """
        tokenizer = self.tokenizer
        added = tokenizer.added_tokens_decoder
        turn = self.render_prompt([Message("user", "?")])
        around = {token for token in turn if token in added}
        special = {token for token, kind in added.items() if kind.special}
        tags = set(tokenizer.convert_tokens_to_ids(list(THINKING_TAGS)))
        return frozenset((special | {*tokenizer.all_special_ids} | around) - tags)

    @property
    def opens_thinking(self) -> bool:
        """True if prompts end in `<think>`, so that completions begin inside the thinking."""
        return False

    def generation_prompt(
        self, messages: Sequence[Message], tools: Sequence[Json] = ()
    ) -> RenderedPrompt:
        """Render a prompt after which the model chooses whether to think, if it has the choice."""
        part: Literal["start", "thinking"] = "thinking" if self.opens_thinking else "start"
        has_tools = tools or any(m.tool_calls or m.role == "tool" for m in messages)
        ids = self.render_tools_prompt(messages, tools) if has_tools else (
            self.render_prompt(messages)
        )  # fmt: skip
        return RenderedPrompt(ids, part, parser_type=self.parser_type)

    def continuation_prompt(
        self,
        messages: Sequence[Message],
        thinks: bool,
        prefix: Message | None = None,
        tools: Sequence[Json] = (),
        opening: str = "",
    ) -> RenderedPrompt:
        """Render a prompt that ends inside the assistant's turn: in or after its think block.

        Without `thinks` the think block is closed, empty if `prefix` has no reasoning. `prefix` is
        the text of the turn so far. For a model without thinking (`has_thinking`) no tags are
        written, whatever `thinks` is. A prompt that ends in the answer ends in `opening`, with
        which a call begins.
        """
        content, reasoning = (prefix.content, prefix.reasoning or "") if prefix else ("", "")
        rendered = self.generation_prompt(messages, tools)
        ids = [*rendered.ids]
        if self.has_thinking:
            ids += self._begin_thinking_ids() + self.encode_text(reasoning)
            if thinks and not content:
                return RenderedPrompt(ids, "thinking", bool(reasoning), self.parser_type)
            ids += self.end_thinking_ids()
        elif not content and not opening:
            return rendered
        ids += self.encode_opening(opening)
        return RenderedPrompt(
            ids + self.encode_text(content), "answer", bool(content), self.parser_type
        )

    def end_thinking_ids(self) -> list[int]:
        """Return the tokens that close the thinking of a turn and begin its answer."""
        return self._control(self.tags.end_think + self.tags.answer)

    def no_thinking_text(self) -> str:
        """Return the text after a prompt that makes the model answer without thinking."""
        begin = "" if self.opens_thinking else self.tags.think
        return begin + self.tags.end_think + self.tags.answer

    def render_target(self, message: Message) -> list[int]:
        """Return the target tokens after a prompt: thinking, answer, EOS.

        Both are encoded separately from the tags, so that no text becomes one. A prompt that has
        opened the thinking is continued inside it; it is empty if the turn has none.
        """
        if message.reasoning is not None or self.opens_thinking:
            ids = (
                self._begin_thinking_ids()
                + self.encode_text(message.reasoning or "")
                + self.end_thinking_ids()
            )
        else:
            ids = self._control(self.tags.answer)
        return [
            *ids,
            *self.encode_text(message.content),
            *self._control(self.tags.end_answer),
            *self._eos(),
        ]

    def format_completion(self, reasoning: str | None, answer: str) -> str:
        """Format a completion as a model of this dialect would have written it."""
        if not self.opens_thinking:
            return completion_text(reasoning, answer)
        return completion_text(reasoning or "", answer).removeprefix(THINK)

    def encode_completion(self, text: str) -> list[int]:
        """Encode a whole completion as its model would have sampled it, and EOS."""
        return [*encode_completion(self.tokenizer, text), *self._eos()]

    def parse(self, text: str) -> ParsedCompletion:
        """Split a whole completion into thinking and answer."""
        return parse(text, self.opens_thinking)

    def stream_parser(self) -> StreamParser:
        """Return a parser for a completion that arrives in chunks."""
        return self.parser_type(self.opens_thinking)

    def encode_text(self, text: str) -> list[int]:
        """Encode a part of a turn, or a message, as plain text."""
        return encode_text(self.tokenizer, text)

    def encode_opening(self, text: str) -> list[int]:
        """Encode the text with which a call begins, control tokens included."""
        return self._control(text)

    def _begin_thinking_ids(self) -> list[int]:
        return [] if self.opens_thinking else self._control(self.tags.think)

    def _control(self, tags: str) -> list[int]:
        return list(self.tokenizer.encode(tags, add_special_tokens=False)) if tags else []

    def _eos(self) -> list[int]:
        eos = self.tokenizer.eos_token_id
        return [] if eos is None else [int(eos)]
