"""A model's own chat template, as it is saved with the tokenizer.

Messages are rendered with the template unchanged, and encoded separately from it only if the two
results differ in control tokens. Slow tokenizers lack the backend for that: they are trusted.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from functools import cached_property

from r1kit.renderers.base import Renderer
from r1kit.renderers.encoding import encode_text, with_one_bos, without_forged_tokens
from r1kit.renderers.thinking import END_THINK, THINK, past_answer, quotes_tag
from r1kit.types import Message

ENDINGS = ".?!。？！"
"""characters that end a sentence"""


class HuggingFaceRenderer(Renderer):
    """Renders with the tokenizer's chat template."""

    def render_prompt(self, messages: Sequence[Message]) -> list[int]:
        tokenizer = self.tokenizer
        turns = [{"role": message.role, "content": message.content} for message in messages]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        if any(m.role == "assistant" and quotes_tag(m.content) for m in messages):
            ids = self._encode_separately(messages)
        safe = without_forged_tokens(
            tokenizer, list(ids), lambda: self._encode_separately(messages)
        )
        return with_one_bos(safe, tokenizer.bos_token_id)

    @property
    def has_thinking(self) -> bool:
        return END_THINK in str(self.tokenizer.chat_template)

    @cached_property
    def opens_thinking(self) -> bool:
        """True if the template ends a prompt in `<think>`, as R1's own does."""
        ids = self.render_prompt([Message("user", "?")])
        tail = self.tokenizer.decode(ids[-16:], skip_special_tokens=False)
        return bool(tail.rstrip().endswith(THINK))

    def _encode_separately(self, messages: Sequence[Message]) -> list[int]:
        """Render the template with a placeholder per message, then encode the texts separately.

        A placeholder ends as its text does, in case the template looks at the last character.
        """
        nonce = uuid.uuid4().hex
        contents = [
            past_answer(message.content) if message.role == "assistant" else message.content
            for message in messages
        ]
        texts = {
            f"{nonce}:{index}:{text[-1:] if text[-1:] in ENDINGS else ''}": text
            for index, text in enumerate(contents)
        }
        turns = [
            {"role": message.role, "content": mark}
            for message, mark in zip(messages, texts, strict=True)
        ]
        frame = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False
        )
        ids: list[int] = []
        for part in re.split(f"({'|'.join(map(re.escape, texts))})", str(frame)):
            if part in texts:
                ids += encode_text(self.tokenizer, texts[part])
            else:
                ids += self._control(part)
        return ids
