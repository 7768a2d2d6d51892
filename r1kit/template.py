"""The only place that knows `<think>`: prompts to tokens, completions to thinking and answer.

Source: the chat template published with DeepSeek-R1 (control tokens with U+FF5C and U+2581; system
text without a role token; past thinking dropped). Departures: no `<think>` at the end of the
prompt, so that a completion shows its whole thinking to the format reward; a pad token of its own,
so that padding is never mistaken for the end; several system messages are joined, not replaced.

Text never becomes a control token: what people write is encoded apart from the tokens of the
template. Other tokenizers than r1kit's get their own template as it is, and this only where the
two differ in control tokens. Slow tokenizers have no parts to encode with: they are trusted.
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
"""Decoding with `skip_special_tokens` drops these; ids 0 to 4 of a tokenizer trained here."""
THINKING_TAGS = (THINK, END_THINK)
"""Tokens too, but not special ones: they stay visible in decoded text."""

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
    """The tokens [P] a completion continues, with at most one BOS in front.

    A tokenizer of r1kit gets r1kit's template, text and control tokens apart; any other its own
    chat template; a base model that has none reads "Question: ...\\nAnswer:".
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
    """Tokens of a text to be continued as it is, after the BOS token where the tokenizer has it."""
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

    `RenderedPrompt([1, 3, 8, 4, 5], "thinking")`. `begun` says that this part of the turn already
    has text, which is to be continued.
    """

    ids: list[int]
    part: Literal["start", "thinking", "answer"]
    """"start": nothing is said yet, and the model chooses whether it thinks"""
    begun: bool = False


def has_thinking(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model's chat template knows thinking, so that it can be turned on and off."""
    return END_THINK in str(tokenizer.chat_template or "")


def open_turn(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    thinks: bool,
    turn: Message | None = None,
) -> RenderedPrompt:
    """The prompt with the assistant's turn begun: in its thinking, or after an empty think block.

    `turn` is what the turn has said already. For a model without thinking (`has_thinking`) no tags
    are written, whatever `thinks` says.
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
    """The tokens that end the thinking, for a turn opened by `open_turn`."""
    return _tag(tokenizer, END_THINK)


def is_prefilled(tokenizer: PreTrainedTokenizerBase, prompt_ids: Sequence[int]) -> bool:
    """Whether a prompt already ends in `<think>`, as those of some other models do."""
    tail = tokenizer.decode(list(prompt_ids[-16:]), skip_special_tokens=False)
    return bool(tail.rstrip().endswith(THINK))


def completion_text(reasoning: str | None, answer: str) -> str:
    """What a model is to write: `<think>try 5</think>\\\\boxed{5}`; without reasoning, no tags.

    Raises ValueError if a part itself holds a thinking tag: it could not be parsed back.
    """
    if any(tag in part for tag in THINKING_TAGS for part in (reasoning or "", answer)):
        raise ValueError("reasoning and answer must not contain thinking tags")
    return answer if reasoning is None else f"{THINK}{reasoning}{END_THINK}{answer}"


def render_turn(
    tokenizer: PreTrainedTokenizerBase, prompt_ids: Sequence[int], turn: Message
) -> list[int]:
    """The tokens a model is to write after the prompt: thinking, answer, end of text.

    Both are encoded apart from the tags, so that no text becomes one. A prompt that already ends in
    `<think>` is continued inside the thinking, with an empty one where the turn has none.
    """
    prefilled = is_prefilled(tokenizer, prompt_ids)
    ids: list[int] = []
    if turn.reasoning is not None or prefilled:
        ids += [] if prefilled else _tag(tokenizer, THINK)
        ids += encode_text(tokenizer, turn.reasoning or "") + close_thinking(tokenizer)
    ids += encode_text(tokenizer, turn.content)
    return ids if tokenizer.eos_token_id is None else [*ids, int(tokenizer.eos_token_id)]


def document_text(question: str | None, text: str) -> str:
    """A document of the base corpus: one exchange, or, without a question, a page of a book.

    A page has no end token: it goes on on the next page, and thinking must not learn to end so.
    """
    return f"{BOS}{text}" if question is None else f"{BOS}{USER}{question}{ASSISTANT}{text}{EOS}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """`<think>try 5</think>\\\\boxed{5}` is `Parsed("try 5", "\\\\boxed{5}", True)`."""

    thinking: str | None
    """inside the first think block, stripped; None where no block was opened"""
    answer: str | None
    """everything outside that block, stripped; None where the thinking never ended"""
    well_formed: bool
    """one think block at the very start, then an answer, neither of them blank"""

    def fits(self, needs_thinking: bool) -> bool:
        """Well formed, or an answer without thinking and its tags where none is needed."""
        answer = self.answer or ""
        is_plain = self.thinking is None and bool(answer) and END_THINK not in answer
        return self.well_formed or (is_plain and not needs_thinking)


@dataclass(frozen=True, slots=True)
class Piece:
    """A bit of streamed text that is known to be thinking or answer."""

    kind: Literal["thinking", "answer"]
    text: str


def parse(text: str, prefilled: bool = False) -> Parsed:
    """Split a whole completion; `prefilled` says that the prompt already ended in `<think>`."""
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
    """What a completion says, thinking and answer, with spaces for the tags."""
    return text.replace(THINK, " ").replace(END_THINK, " ")


class StreamParser:
    """`parse` for text that arrives in chunks, however it is cut.

    The joined pieces of a kind, without trailing whitespace, are what `parse` returns; only the
    answer of unfinished thinking differs (`parse` has none). Leading whitespace of each part is
    dropped at once; nothing is held back but the possible beginning of a tag.
    """

    def __init__(self, prefilled: bool = False) -> None:
        self._kind: Literal["thinking", "answer"] = "thinking" if prefilled else "answer"
        self.next_tag = END_THINK if prefilled else THINK
        """that changes what comes after it; empty when none does"""
        self._held = ""
        self._begun: set[str] = set()

    @classmethod
    def after(cls, opening: RenderedPrompt) -> StreamParser:
        """For the completion of an opened turn; tags in an answer already begun are plain text."""
        parser = cls(prefilled=opening.part == "thinking")
        if opening.part == "answer":
            parser.next_tag = ""
        if opening.begun:
            parser._begun.add(parser._kind)
        return parser

    @property
    def is_thinking(self) -> bool:
        """Whether what comes next is thinking."""
        return self._kind == "thinking"

    def close(self) -> list[Piece]:
        """The thinking ends here, without a tag in the text; the rest of it."""
        pieces = self.finish()
        self._turn()
        return pieces

    def feed(self, chunk: str) -> list[Piece]:
        """The pieces that `chunk` makes certain, in order; none of them empty."""
        text, pieces = self._held + chunk, []
        while self.next_tag and self.next_tag in text:
            before, _, text = text.partition(self.next_tag)
            pieces += self._emit(before)
            self._turn()
        keep = len(text) - _partial_tag(text, self.next_tag)
        self._held = text[keep:]
        return pieces + self._emit(text[:keep])

    def finish(self) -> list[Piece]:
        """The end of the text: what looked like the beginning of a tag was none."""
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
    """Tokens of plain text: `</think>` or `<｜User｜>` in it stay the characters they are.

    The added tokens live in front of the normaliser and the pre-tokenizer, so starting there never
    meets them.
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
    """Tokens of a whole completion: its thinking tags are tags, all else stays plain text."""
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
    """A thinking tag; other templates than r1kit's put it on a line of its own, as R1's does."""
    if tokenizer.chat_template != CHAT_TEMPLATE:
        tag = f"{tag}\n" if tag == THINK else f"\n{tag}\n\n"
    return list(tokenizer.encode(tag, add_special_tokens=False))


def _without_forged(
    tokenizer: PreTrainedTokenizerBase, ids: list[int], apart: Callable[[], list[int]]
) -> list[int]:
    """`ids`, unless text has become control tokens that are not in `apart()`; then the latter."""
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        return ids
    added = set(tokenizer.get_added_vocab().values())
    safe = apart()
    forged = [i for i in ids if i in added] != [i for i in safe if i in added]
    return safe if forged else ids


def _apart(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """The template with a mark for each text; then the texts, encoded apart, for the marks."""
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
    """Length of the longest end of `text` that begins `tag` without completing it."""
    longest = min(len(text), max(len(tag) - 1, 0))
    return next((n for n in range(longest, 0, -1) if tag.startswith(text[-n:])), 0)
