"""r1kit's own chat template, and the documents of the base corpus."""

from __future__ import annotations

from r1kit.renderers.thinking import END_THINK

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
