"""The prompt of a base model without a chat template: "Question: ... Answer:" on lines."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.renderers.base import Renderer
from r1kit.types import Message

NAMES = {"system": "", "user": "Question: ", "assistant": "Answer: "}
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ {'user': 'Question: ', 'assistant': 'Answer: '}.get(message['role'], '') }}"
    "{{ message['content'] + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Answer:' }}{% endif %}"
)
"""the same prompt for other programs, saved with a model for which a recipe chose it"""


class PlainRenderer(Renderer):
    """Renders each message as a line of text."""

    has_thinking = False

    def render_prompt(self, messages: Sequence[Message]) -> list[int]:
        lines = [NAMES[message.role] + message.content for message in messages]
        return self.encode_prompt("\n".join([*lines, "Answer:"]))
