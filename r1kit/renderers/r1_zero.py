"""R1-Zero's prompt, as a chat template that any base model can be given.

Source: table 1 of the R1 paper's first version: the words of the prompt, and the tags around
thinking and answer. Departures: a BOS in front if the tokenizer adds one; no full stop after a
question that has its own; the paper shows one question, here system messages follow the
instruction, and in a conversation each turn follows the one before, past answers in their tags and
without their thinking. The paper does not say how a malformed completion is read: here a missing
`<answer>` tag costs the format alone, and what follows `</answer>`, where a base model often goes
on with a question of its own, is not part of the answer.

The prefilled variant ends the prompt in `<think>`, and is the default for a base without a chat
template. The paper's base was so large that it wrote the tag by itself; small bases hardly do, and
a tag that no completion has cannot be learned. The reproductions with small bases prefill it:
TinyZero, Oat-Zero, Open-Reasoner-Zero and Logic-RL. (SimpleRL-Zoo uses no tags; open-r1 starts from
instruct models and asks for the tags in the system message.)
"""

from __future__ import annotations

import re
from typing import ClassVar, Self

from r1kit.renderers.base import Tags
from r1kit.renderers.hugging_face import ENDINGS, HuggingFaceRenderer
from r1kit.renderers.stream_parser import Part, Piece, StreamParser, partial_tag
from r1kit.renderers.thinking import END_THINK, THINK
from r1kit.types import ParsedCompletion

ANSWER = "<answer>"
END_ANSWER = "</answer>"
TAGGED = re.compile(f"{ANSWER}(?:(?!{ANSWER}|{END_ANSWER}).)*{END_ANSWER}", re.DOTALL)
"""an answer in its tags, and nothing else"""
INSTRUCTION = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves "
    "it. The assistant first thinks about the reasoning process in the mind and then provides the "
    "user with the answer. The reasoning process and answer are enclosed within "
    f"{THINK} {END_THINK} and {ANSWER} {END_ANSWER} tags, respectively, i.e., "
    f"{THINK} reasoning process here {END_THINK} {ANSWER} answer here {END_ANSWER}."
)
CHAT_TEMPLATE = (
    INSTRUCTION + "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ ' ' + message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ ' User: ' + message['content'] }}"
    f"{{% if message['content'][-1:] not in '{ENDINGS}' %}}{{{{ '.' }}}}{{% endif %}}"
    "{% elif message['role'] == 'assistant' %}"
    f"{{{{ ' Assistant: {ANSWER} ' + message['content'].split('{END_THINK}')[-1]"
    f" + ' {END_ANSWER}' }}}}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ ' Assistant:' }}{% endif %}"
)
PREFILLED_CHAT_TEMPLATE = (
    CHAT_TEMPLATE + f"{{% if add_generation_prompt %}}{{{{ ' {THINK}' }}}}{{% endif %}}"
)
"""the same, with the prompt ending inside the thinking"""


class R1ZeroStreamParser(StreamParser):
    """Drops the answer tags from streamed answers, and what follows the closing one."""

    def __init__(self, opened: bool = False) -> None:
        super().__init__(opened)
        self._answer = AnswerTagFilter()

    @classmethod
    def inside(cls, part: Part, has_text: bool = False) -> Self:
        parser = super().inside(part, has_text)
        if part == "answer":
            parser._answer.is_open = True
        return parser

    def close(self) -> list[Piece]:
        pieces = super().close()
        self._answer.is_open = True  # the closing tokens have opened it
        return pieces

    def finish(self) -> list[Piece]:
        pieces = super().finish()
        return pieces if self.is_thinking else pieces + super()._emit(self._answer.finish())

    def _emit(self, text: str) -> list[Piece]:
        return super()._emit(text if self.is_thinking else self._answer.feed(text))


class AnswerTagFilter:
    """Removes the answer tags from a text that arrives in chunks, and what follows the answer."""

    def __init__(self) -> None:
        self.is_open = self._is_over = False
        self._held = ""

    def feed(self, chunk: str) -> str:
        """Return the part of the answer that `chunk` makes certain."""
        text, answer = self._held + chunk, ""
        self._held = ""
        while not self._is_over:
            tags = (END_ANSWER,) if self.is_open else (ANSWER, END_ANSWER)
            match = re.search("|".join(tags), text)
            if match is None:
                keep = len(text) - max(partial_tag(text, tag) for tag in tags)
                self._held = text[keep:]
                return answer + text[:keep]
            answer, text = answer + text[: match.start()], text[match.end() :]
            self.is_open, self._is_over = True, match.group() == END_ANSWER
        return answer

    def finish(self) -> str:
        """Return held-back characters, which turned out not to begin a tag."""
        text, self._held = self._held, ""
        return text


class R1ZeroRenderer(HuggingFaceRenderer):
    """Renders the prompt of R1-Zero; answers are between tags of their own."""

    tags = Tags(f" {THINK}", f" {END_THINK}", f" {ANSWER}", f" {END_ANSWER}")
    parser_type: ClassVar[type[StreamParser]] = R1ZeroStreamParser

    def format_completion(self, reasoning: str | None, answer: str) -> str:
        thinking = None if reasoning is None else f" {reasoning} "
        return (
            f" {super().format_completion(thinking, f' {ANSWER} {answer} {END_ANSWER}').lstrip()}"
        )

    def parse(self, text: str) -> ParsedCompletion:
        parsed = super().parse(text.lstrip())
        if parsed.answer is None:
            return parsed
        tags = AnswerTagFilter()
        answer = (tags.feed(parsed.answer) + tags.finish()).strip()
        is_tagged = TAGGED.fullmatch(parsed.answer) is not None
        return ParsedCompletion(
            parsed.thinking, answer, parsed.well_formed and is_tagged and bool(answer)
        )

    def encode_text(self, text: str) -> list[int]:
        return super().encode_text(f" {text}" if text else "")
