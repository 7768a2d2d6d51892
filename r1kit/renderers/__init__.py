"""Renderers: one file per chat dialect, from messages to tokens and from completions to parts.

The tokenizer's chat template decides the dialect, as it is saved with every checkpoint and as other
engines read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from r1kit.renderers import r1_zero, r1kit
from r1kit.renderers.base import Renderer
from r1kit.renderers.hugging_face import HuggingFaceRenderer
from r1kit.renderers.plain import PlainRenderer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DIALECTS: dict[str | None, type[Renderer]] = {
    None: PlainRenderer,
    r1kit.CHAT_TEMPLATE: r1kit.R1kitRenderer,
    r1_zero.CHAT_TEMPLATE: r1_zero.R1ZeroRenderer,
}
"""chat template → its renderer; all other templates are rendered by Hugging Face's engine"""
CHAT_TEMPLATES = {"r1-zero": r1_zero.CHAT_TEMPLATE}
"""chat templates that a recipe can give to an existing base (`model.chat_template`)"""


def renderer_of(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    """Return the renderer of a tokenizer's chat template."""
    template = tokenizer.chat_template
    is_named = isinstance(template, dict)  # several templates, of which one is the default
    dialect = HuggingFaceRenderer if is_named else DIALECTS.get(template, HuggingFaceRenderer)
    return dialect(tokenizer)
