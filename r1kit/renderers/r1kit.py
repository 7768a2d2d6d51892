"""r1kit's own chat template, and the documents of the base corpus.

Source: the chat template published with DeepSeek-R1 (control tokens with U+FF5C and U+2581; system
text without a role token; past thinking dropped). Departures: no `<think>` at the end of the
prompt, so that the format reward sees the whole thinking of a completion; a separate pad token, so
that padding is never mistaken for EOS; several system messages are joined, not replaced.
"""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.renderers.base import Renderer, Tags
from r1kit.renderers.thinking import END_THINK, THINK, past_answer
from r1kit.types import Message

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
PAD = "<｜▁pad▁｜>"
USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"
SPECIAL_TOKENS = (BOS, EOS, PAD, USER, ASSISTANT)
"""dropped by decoding with `skip_special_tokens`; ids 0 to 4 of a tokenizer trained by r1kit"""
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{{ messages | selectattr('role', 'equalto', 'system')"
    " | map(attribute='content') | join('\\n\\n') }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    f"{{{{ '{USER}' + message['content'] }}}}"
    "{% elif message['role'] == 'assistant' %}"
    f"{{{{ '{ASSISTANT}' + message['content'].split('{END_THINK}')[-1] + eos_token }}}}"
    "{% endif %}"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{{{{ '{ASSISTANT}' }}}}{{% endif %}}"
)


def document_text(question: str | None, text: str) -> str:
    """Format a document of the base corpus: one exchange, or, without a question, a book page.

    A page has no EOS token: it continues on the next page, and a model must not learn to end its
    thinking with EOS.
    """
    return f"{BOS}{text}" if question is None else f"{BOS}{USER}{question}{ASSISTANT}{text}{EOS}"


class R1kitRenderer(Renderer):
    """Renders r1kit's own chat template without a template engine."""

    tags = Tags(THINK, END_THINK)

    def render_prompt(self, messages: Sequence[Message]) -> list[int]:
        system = "\n\n".join(message.content for message in messages if message.role == "system")
        ids = self.encode_prompt(system)
        for message in messages:
            if message.role == "user":
                ids += [self._id(USER), *self.encode_text(message.content)]
            elif message.role == "assistant":
                answer = past_answer(message.content)
                ids += [self._id(ASSISTANT), *self.encode_text(answer), self._id(EOS)]
        return [*ids, self._id(ASSISTANT)]

    def encode_prompt(self, text: str) -> list[int]:
        return [self._id(BOS), *self.encode_text(text)]

    def _id(self, token: str) -> int:
        return int(self.tokenizer.convert_tokens_to_ids(token))
