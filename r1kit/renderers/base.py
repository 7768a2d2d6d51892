"""Chat template and `<think>` tags, handled only here: render prompts, split completions.

Source: the chat template published with DeepSeek-R1 (control tokens with U+FF5C and U+2581; system
text without a role token; past thinking dropped). Departures: no `<think>` at the end of the
prompt, so that the format reward sees the whole thinking of a completion; a separate pad token, so
that padding is never mistaken for EOS; several system messages are joined, not replaced.

Text never becomes a control token: message text is encoded separately from the template's tokens.
Tokenizers other than r1kit's use their own template unchanged, and separate encoding only if the
two results differ in control tokens. Slow tokenizers lack the backend for that: they are trusted.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from r1kit.renderers.encoding import encode_text, with_one_bos, without_forged
from r1kit.renderers.r1kit import ASSISTANT, BOS, CHAT_TEMPLATE, EOS, USER
from r1kit.renderers.stream_parser import RenderedPrompt
from r1kit.renderers.thinking import END_THINK, THINK
from r1kit.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def render_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Render messages to the prompt tokens [P], with at most one BOS in front.

    A tokenizer of r1kit uses r1kit's template, with text encoded separately from control tokens;
    any other uses its own chat template; for a base model without one the prompt is
    "Question: ...\\nAnswer:".
    """
    if tokenizer.chat_template == CHAT_TEMPLATE:
        return _render(tokenizer, messages)
    if tokenizer.chat_template is None:
        return encode_prompt(tokenizer, _plain_prompt(messages))
    turns = [{"role": message.role, "content": message.content} for message in messages]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    safe = without_forged(tokenizer, list(ids), lambda: _apart(tokenizer, messages))
    return with_one_bos(safe, tokenizer.bos_token_id)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode a raw text prompt, after a BOS token if the tokenizer adds one."""
    if tokenizer.chat_template == CHAT_TEMPLATE:
        return [int(tokenizer.convert_tokens_to_ids(BOS)), *encode_text(tokenizer, text)]
    begins = tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
    bos = [tokenizer.bos_token_id] if begins else []
    ids = without_forged(
        tokenizer, list(tokenizer.encode(text)), lambda: [*bos, *encode_text(tokenizer, text)]
    )
    return with_one_bos(ids, tokenizer.bos_token_id)


def has_thinking(tokenizer: PreTrainedTokenizerBase) -> bool:
    """True if the model's chat template supports thinking, so that it can be turned on and off."""
    return END_THINK in str(tokenizer.chat_template or "")


def open_turn(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    thinks: bool,
    turn: Message | None = None,
) -> RenderedPrompt:
    """Render a prompt that ends inside the assistant's turn: in or after its think block.

    Without `thinks` the think block is closed, empty if `turn` has no reasoning. `turn` is the text
    of the turn so far. For a model without thinking (`has_thinking`) no tags are written, whatever
    `thinks` is.
    """
    ids = render_prompt(tokenizer, messages)
    content, reasoning = (turn.content, turn.reasoning or "") if turn else ("", "")
    if has_thinking(tokenizer):
        if not is_prefilled(tokenizer, ids):
            ids += _tag(tokenizer, THINK)
        ids += encode_text(tokenizer, reasoning)
        if thinks and not content:
            return RenderedPrompt(ids, "thinking", bool(reasoning))
        ids += close_thinking(tokenizer)
    elif not content:
        return RenderedPrompt(ids, "thinking" if is_prefilled(tokenizer, ids) else "start")
    return RenderedPrompt(ids + encode_text(tokenizer, content), "answer", bool(content))


def close_thinking(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that close the thinking of a turn opened by `open_turn`."""
    return _tag(tokenizer, END_THINK)


def is_prefilled(tokenizer: PreTrainedTokenizerBase, prompt_ids: Sequence[int]) -> bool:
    """True if a prompt already ends in `<think>`, as some other models' templates do."""
    tail = tokenizer.decode(list(prompt_ids[-16:]), skip_special_tokens=False)
    return bool(tail.rstrip().endswith(THINK))


def render_turn(
    tokenizer: PreTrainedTokenizerBase, prompt_ids: Sequence[int], turn: Message
) -> list[int]:
    """Return the target tokens after the prompt: thinking, answer, EOS.

    Both are encoded separately from the tags, so that no text becomes one. A prompt that already
    ends in `<think>` is continued inside the thinking, which is empty if the turn has none.
    """
    prefilled = is_prefilled(tokenizer, prompt_ids)
    ids: list[int] = []
    if turn.reasoning is not None or prefilled:
        ids += [] if prefilled else _tag(tokenizer, THINK)
        ids += encode_text(tokenizer, turn.reasoning or "") + close_thinking(tokenizer)
    ids += encode_text(tokenizer, turn.content)
    return ids if tokenizer.eos_token_id is None else [*ids, int(tokenizer.eos_token_id)]


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    def control(token: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(token))

    system = "\n\n".join(message.content for message in messages if message.role == "system")
    ids = [control(BOS), *encode_text(tokenizer, system)]
    for message in messages:
        if message.role == "user":
            ids += [control(USER), *encode_text(tokenizer, message.content)]
        elif message.role == "assistant":
            answer = message.content.split(END_THINK)[-1]
            ids += [control(ASSISTANT), *encode_text(tokenizer, answer), control(EOS)]
    return [*ids, control(ASSISTANT)]


def _tag(tokenizer: PreTrainedTokenizerBase, tag: str) -> list[int]:
    """Encode a thinking tag; templates other than r1kit's put it on its own line, as R1's does."""
    if tokenizer.chat_template != CHAT_TEMPLATE:
        tag = f"{tag}\n" if tag == THINK else f"\n{tag}\n\n"
    return list(tokenizer.encode(tag, add_special_tokens=False))


def _apart(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Render the template with a placeholder per message, then encode the texts separately."""
    nonce = uuid.uuid4().hex
    texts = {
        f"{nonce}:{place}:": message.content.split(END_THINK)[-1]
        if message.role == "assistant"
        else message.content
        for place, message in enumerate(messages)
    }
    turns = [
        {"role": message.role, "content": mark}
        for message, mark in zip(messages, texts, strict=True)
    ]
    frame = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    ids: list[int] = []
    for part in re.split(f"({nonce}:[0-9]+:)", str(frame)):
        if part in texts:
            ids += encode_text(tokenizer, texts[part])
        elif part:
            ids += tokenizer.encode(part, add_special_tokens=False)
    return ids


def _plain_prompt(messages: Sequence[Message]) -> str:
    lines = []
    for message in messages:
        name = {"system": "", "user": "Question: ", "assistant": "Answer: "}[message.role]
        lines.append(name + message.content)
    return "\n".join([*lines, "Answer:"])
