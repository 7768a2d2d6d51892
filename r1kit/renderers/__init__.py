"""Renderers: one file per chat dialect, from messages to tokens and from completions to parts.

The tokenizer's chat template decides the dialect, as it is saved with every checkpoint and as other
engines read it. `adopt` makes the one of an existing base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from r1kit.renderers import plain, r1_zero, r1kit
from r1kit.renderers.adopt import BOS
from r1kit.renderers.base import Renderer
from r1kit.renderers.hugging_face import HuggingFaceRenderer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def renderer_of(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    """Return the renderer of a tokenizer's chat template."""
    template = tokenizer.chat_template
    if template is None or template in (plain.CHAT_TEMPLATE, BOS + plain.CHAT_TEMPLATE):
        return plain.PlainRenderer(tokenizer)
    if template == r1kit.CHAT_TEMPLATE:
        return r1kit.R1kitRenderer(tokenizer)
    if r1_zero.INSTRUCTION in str(template):  # in any of its variants
        return r1_zero.R1ZeroRenderer(tokenizer)
    return HuggingFaceRenderer(tokenizer)
