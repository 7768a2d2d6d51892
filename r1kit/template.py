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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from r1kit.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
PAD = "<｜▁pad▁｜>"
USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"
THINK = "<think>"
END_THINK = "</think>"

SPECIAL_TOKENS = (BOS, EOS, PAD, USER, ASSISTANT)
"""dropped by decoding with `skip_special_tokens`; ids 0 to 4 of a tokenizer trained by r1kit"""
THINKING_TAGS = (THINK, END_THINK)
"""tokens that are not special: they stay visible in decoded text"""

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
    safe = _without_forged(tokenizer, list(ids), lambda: _apart(tokenizer, messages))
    return _with_one_bos(safe, tokenizer.bos_token_id)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode a raw text prompt, after a BOS token if the tokenizer adds one."""
    if tokenizer.chat_template == CHAT_TEMPLATE:
        return [int(tokenizer.convert_tokens_to_ids(BOS)), *encode_text(tokenizer, text)]
    begins = tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
    bos = [tokenizer.bos_token_id] if begins else []
    ids = _without_forged(
        tokenizer, list(tokenizer.encode(text)), lambda: [*bos, *encode_text(tokenizer, text)]
    )
    return _with_one_bos(ids, tokenizer.bos_token_id)


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt, and the part of the assistant's turn in which it ends.

    `RenderedPrompt([1, 3, 8, 4, 5], "thinking")`. `begun` is True if this part of the turn already
    has text, which the completion continues.
    """

    ids: list[int]
    part: Literal["start", "thinking", "answer"]
    """"start": the turn is empty, and the model chooses whether to think"""
    begun: bool = False


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


def completion_text(reasoning: str | None, answer: str) -> str:
    """Join reasoning and answer: `<think>try 5</think>\\\\boxed{5}`; no tags without reasoning.

    Raises ValueError if a part itself contains a thinking tag, as it could not be parsed back.
    """
    if any(tag in part for tag in THINKING_TAGS for part in (reasoning or "", answer)):
        raise ValueError("reasoning and answer must not contain thinking tags")
    return answer if reasoning is None else f"{THINK}{reasoning}{END_THINK}{answer}"


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


def document_text(question: str | None, text: str) -> str:
    """Format a document of the base corpus: one exchange, or, without a question, a book page.

    A page has no EOS token: it continues on the next page, and a model must not learn to end its
    thinking with EOS.
    """
    return f"{BOS}{text}" if question is None else f"{BOS}{USER}{question}{ASSISTANT}{text}{EOS}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A completion split into thinking and answer.

    `<think>try 5</think>\\\\boxed{5}` is `Parsed("try 5", "\\\\boxed{5}", True)`.
    """

    thinking: str | None
    """text inside the first think block, stripped; None if no block was opened"""
    answer: str | None
    """everything outside that block, stripped; None if the thinking never ended"""
    well_formed: bool
    """True for a single think block at the very start and then an answer, neither of them blank"""

    def fits(self, needs_thinking: bool) -> bool:
        """True if well formed, or a plain answer without tags and no thinking is needed."""
        answer = self.answer or ""
        is_plain = self.thinking is None and bool(answer) and END_THINK not in answer
        return self.well_formed or (is_plain and not needs_thinking)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of streamed text, classified as thinking or answer."""

    kind: Literal["thinking", "answer"]
    text: str


def parse(text: str, prefilled: bool = False) -> Parsed:
    """Split a whole completion; `prefilled` means that the prompt already ended in `<think>`."""
    before, opened, rest = ("", True, text) if prefilled else _cut(text, THINK)
    inside, closed, after = _cut(rest, END_THINK)
    if not opened:
        return Parsed(None, text.strip(), False)
    thinking = inside.strip()
    if not closed:
        return Parsed(thinking, None, False)
    answer = (before + after).strip()
    tags_fit = not before and THINK not in inside + after and END_THINK not in after
    return Parsed(thinking, answer, bool(tags_fit and thinking and answer))


def without_tags(text: str) -> str:
    """Replace the thinking tags of a completion with spaces."""
    return text.replace(THINK, " ").replace(END_THINK, " ")


class StreamParser:
    """A streaming `parse`, for text that arrives in arbitrary chunks.

    The joined pieces of a kind, without trailing whitespace, equal the result of `parse`, except
    for the answer of unfinished thinking (`parse` returns None). Leading whitespace of each part is
    dropped at once; only a possible prefix of a tag is held back.
    """

    def __init__(self, prefilled: bool = False) -> None:
        self._kind: Literal["thinking", "answer"] = "thinking" if prefilled else "answer"
        self.next_tag = END_THINK if prefilled else THINK
        """the next tag that switches the part; empty if no tag does"""
        self._held = ""
        self._begun: set[str] = set()

    @classmethod
    def after(cls, opening: RenderedPrompt) -> StreamParser:
        """Return a parser for the completion of an opened turn.

        After a prompt that ends in the answer, tags are plain text.
        """
        parser = cls(prefilled=opening.part == "thinking")
        if opening.part == "answer":
            parser.next_tag = ""
        if opening.begun:
            parser._begun.add(parser._kind)
        return parser

    @property
    def is_thinking(self) -> bool:
        """True if the next text is thinking."""
        return self._kind == "thinking"

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
        keep = len(text) - _partial_tag(text, self.next_tag)
        self._held = text[keep:]
        return pieces + self._emit(text[:keep])

    def finish(self) -> list[Piece]:
        """End the text and return held-back characters, which turned out not to begin a tag."""
        held, self._held = self._held, ""
        return self._emit(held)

    def _turn(self) -> None:
        starts_thinking = self.next_tag == THINK
        self._kind = "thinking" if starts_thinking else "answer"
        self.next_tag = END_THINK if starts_thinking else ""

    def _emit(self, text: str) -> list[Piece]:
        if self._kind not in self._begun:
            text = text.lstrip()
        if not text:
            return []
        self._begun.add(self._kind)
        return [Piece(self._kind, text)]


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode plain text: `</think>` or `<｜User｜>` in it stay ordinary characters.

    Added tokens are matched before the normaliser and the pre-tokenizer, so starting at the
    normaliser bypasses them.
    """
    backend = tokenizer.backend_tokenizer
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    if not text:
        return []
    splitter = backend.pre_tokenizer
    words = [(text, None)] if splitter is None else splitter.pre_tokenize_str(text)
    return [token.id for word, _ in words for token in backend.model.tokenize(word)]


def encode_completion(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Encode a whole completion: thinking tags become tokens, all else stays plain text."""
    ids: list[int] = []
    for part in re.split(f"({THINK}|{END_THINK})", text):
        is_tag = part in THINKING_TAGS
        ids += (
            tokenizer.encode(part, add_special_tokens=False)
            if is_tag
            else encode_text(tokenizer, part)
        )
    return ids


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


def _without_forged(
    tokenizer: PreTrainedTokenizerBase, ids: list[int], apart: Callable[[], list[int]]
) -> list[int]:
    """Return `ids`, or `apart()` if message text has become control tokens in `ids`."""
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        return ids
    added = set(tokenizer.get_added_vocab().values())
    safe = apart()
    forged = [i for i in ids if i in added] != [i for i in safe if i in added]
    return safe if forged else ids


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


def _with_one_bos(ids: list[int], bos: int | None) -> list[int]:
    while bos is not None and ids[:2] == [bos, bos]:
        ids = ids[1:]
    return ids


def _cut(text: str, tag: str) -> tuple[str, bool, str]:
    before, found, after = text.partition(tag)
    return before, bool(found), after


def _partial_tag(text: str, tag: str) -> int:
    """Return the length of the longest suffix of `text` that is a proper prefix of `tag`."""
    longest = min(len(text), max(len(tag) - 1, 0))
    return next((n for n in range(longest, 0, -1) if tag.startswith(text[-n:])), 0)
