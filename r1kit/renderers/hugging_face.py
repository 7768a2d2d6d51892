"""A model's own chat template, as it is saved with the tokenizer.

Messages are rendered with the template unchanged, and encoded separately from it only if the two
results differ in control tokens. Slow tokenizers lack the backend for that: they are trusted.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from r1kit.renderers.base import Renderer
from r1kit.renderers.encoding import encode_text, with_one_bos, without_forged_tokens
from r1kit.renderers.thinking import END_THINK, THINK, past_answer, quotes_tag
from r1kit.renderers.tool_text import calls_as_text, tools_as_text
from r1kit.types import Json, Message, ToolCall

ENDINGS = ".?!。？！"
"""characters that end a sentence"""
_PROBE = "r1kit_probe"


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

    def render_tools_prompt(self, messages: Sequence[Message], tools: Sequence[Json]) -> list[int]:
        """Render tools, calls and results as far as the template knows them, else as text."""
        turns = self._with_short_ids(messages)
        has_text = any(turn.content for turn in turns if turn.tool_calls)
        if self._knows_calls == "no" or (has_text and self._knows_calls == "without text"):
            turns = calls_as_text(turns, self.tool_format)
        if not self._knows_tools:
            turns = tools_as_text(turns, tools, self.tool_format)
            tools = ()
        if not tools and not any(turn.tool_calls or turn.role == "tool" for turn in turns):
            return self.render_prompt(turns)
        return self._render_natively(turns, tools)

    @cached_property
    def _knows_tools(self) -> bool:
        """True if the template describes tools to the model."""
        tool = {"name": _PROBE, "description": "?", "parameters": {"type": "object"}}
        question = [{"role": "user", "content": "?"}]
        return _PROBE in self._tried(question, [{"type": "function", "function": tool}])

    @cached_property
    def _knows_calls(self) -> Literal["yes", "without text", "no"]:
        """Whether the template renders all of a past call: name, arguments, result and text."""
        parts = [f"{_PROBE}_{index}" for index in range(4)]
        text, name, argument, result = parts
        call = ToolCall("call_000", name, json.dumps({"x": argument}))
        turns = self._with_short_ids(
            [
                Message("user", "?"),
                Message("assistant", text, tool_calls=(call,)),
                Message("tool", result, tool_call_id=call.id),
            ]
        )
        shown = [
            self._tried(_with_calls(turns, as_text=is_text), None) for is_text in (False, True)
        ]
        if any(all(part in one for part in parts) for one in shown):
            return "yes"
        is_known = any(all(part in one for part in parts[1:]) for one in shown)
        return "without text" if is_known else "no"

    def _with_short_ids(self, messages: Sequence[Message]) -> list[Message]:
        """Replace the ids of calls by short ones if the template demands their length."""
        length = self.tool_format.id_length

        def short(call_id: str) -> str:
            return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:length]

        if length is None:
            return list(messages)
        return [
            replace(
                message,
                tool_calls=tuple(replace(call, id=short(call.id)) for call in message.tool_calls),
                tool_call_id=message.tool_call_id and short(message.tool_call_id),
            )
            for message in messages
        ]

    def _tried(self, turns: list[Json], tools: list[Json] | None) -> str:
        """Render turns; return "" if the template refuses them."""
        try:
            return self._rendered(turns, tools)
        except Exception:  # a template raises what it likes
            return ""

    def _rendered(self, turns: list[Json], tools: Any) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                turns, tools=tools or None, add_generation_prompt=True, tokenize=False
            )
        )

    def _render_natively(self, messages: Sequence[Message], tools: Sequence[Json]) -> list[int]:
        """Render with the template's own tools.

        A text in which a control token stands is replaced by a mark, which is later replaced by the
        text's own tokens. Texts of tools and arguments stand in JSON, so theirs are escaped.
        """
        marks: dict[str, str] = {}
        added = self.tokenizer.get_added_vocab()
        control = re.compile("|".join(map(re.escape, added)) or r"(?!)")

        def hide(text: str, in_json: bool = True) -> str:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if not control.search(text):
                return text
            mark = uuid.uuid4().hex
            marks[mark] = json.dumps(text, ensure_ascii=False)[1:-1] if in_json else text
            return mark

        turns = [
            Message(
                message.role,
                hide(message.content, in_json=False),
                tool_calls=message.tool_calls,
                tool_call_id=message.tool_call_id,
            )
            for message in messages
        ]
        shown = [_hidden(tool, hide) for tool in tools]
        try:
            frame = self._rendered(_with_calls(turns, hide), shown)
        except TypeError:  # the template adds the arguments to a text
            frame = self._rendered(_with_calls(turns, hide, as_text=True), shown)
        ids: list[int] = []
        for part in re.split(f"({'|'.join(marks)})" if marks else r"(?!)", frame):
            ids += encode_text(self.tokenizer, marks[part]) if part in marks else (
                self._control(part)
            )  # fmt: skip
        return with_one_bos(ids, self.tokenizer.bos_token_id)

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


def _with_calls(
    messages: Sequence[Message], hide: Callable[[str], str] = str, as_text: bool = False
) -> list[Json]:
    """Return messages as chat templates read them; arguments are objects, or texts."""
    turns: list[Json] = []
    for message in messages:
        turn: Json = {"role": message.role, "content": message.content}
        if message.role == "assistant":
            turn["content"] = message.content.split(END_THINK)[-1]
        if message.tool_calls:
            turn["content"] = turn["content"] or None
            turn["tool_calls"] = [_call(call, hide, as_text) for call in message.tool_calls]
        if message.tool_call_id is not None:
            turn["tool_call_id"] = message.tool_call_id
        turns.append(turn)
    return turns


def _call(call: ToolCall, hide: Callable[[str], str], as_text: bool) -> Json:
    arguments: Any = call.arguments
    try:
        value = json.loads(call.arguments)
        arguments = _hidden(value, hide) if isinstance(value, dict) else hide(call.arguments)
    except (ValueError, RecursionError):
        arguments = hide(call.arguments)
    if as_text and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    function = {"name": hide(call.name), "arguments": arguments}
    return {"id": hide(call.id), "type": "function", "function": function}


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    """Return a JSON value with its texts, keys included, passed through `hide`."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list):
        return [_hidden(item, hide) for item in value]
    if isinstance(value, dict):
        return {hide(key): _hidden(item, hide) for key, item in value.items()}
    return value
