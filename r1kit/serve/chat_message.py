"""A message of a chat request, and the parts of its content. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from r1kit.serve.api_error import ApiError
from r1kit.serve.fields import WireModel
from r1kit.serve.limits import MAX_CHARS, MAX_MESSAGES, MAX_PARTS, MAX_TOOLS
from r1kit.serve.tools import CallOfTool, past_call
from r1kit.types import Json, Message


class TextPart(WireModel):
    """A part of a message; only text is supported. A refusal that is sent back is text."""

    without_effect = frozenset({"cache_control"})

    type: Literal["text"]
    """type of the part"""
    text: Annotated[str, StringConstraints(max_length=MAX_CHARS)]
    """the text"""
    cache_control: Any = None
    """accepted, no effect"""

    @model_validator(mode="before")
    @classmethod
    def _refusal_is_text(cls, part: Any) -> Any:
        if not isinstance(part, dict) or part.get("type") != "refusal" or "refusal" not in part:
            return part
        rest = {name: value for name, value in part.items() if name not in ("type", "refusal")}
        return {"type": "text", "text": part["refusal"], **rest}


class MediaPart(WireModel):
    """A part that only a server behind (`--engine URL`) can read: it is passed on unchanged."""

    type: Literal["image_url", "input_audio", "audio_url", "video_url", "file"]
    """type of the part"""
    image_url: Any = None
    """the image"""
    input_audio: Any = None
    """the sound"""
    audio_url: Any = None
    """the sound"""
    video_url: Any = None
    """the video"""
    file: Any = None
    """the file"""
    cache_control: Any = None
    """a hint for the prompt cache"""


class ChatMessage(WireModel):
    """A turn. The message of an answer can be sent back unchanged."""

    without_effect = frozenset({"name", "id", "cache_control", "reasoning_details", "annotations"})

    role: Literal["system", "developer", "user", "assistant", "tool"]
    """author of the message; `developer` is treated as `system`"""
    content: str | Annotated[list[TextPart | MediaPart], Field(max_length=MAX_PARTS)] | None = None
    """text of the message, or the result of a call; parts are joined; only the assistant's may be
    missing"""
    reasoning_content: str | None = None
    """thinking of a past turn: accepted and dropped; in a `prefix` turn it is continued"""
    reasoning: str | None = None
    """other servers' name of `reasoning_content`"""
    prefix: bool | None = None
    """true in the last message, which must be the assistant's: the completion continues its text;
    the same as not given, while false refuses a last message of the assistant"""
    name: Annotated[str, StringConstraints(max_length=64)] | None = None
    """accepted, no effect"""
    refusal: str | None = None
    """accepted, no effect"""
    audio: None = None
    """refused unless empty"""
    function_call: None = None
    """refused unless empty"""
    tool_calls: Annotated[list[CallOfTool], Field(max_length=MAX_TOOLS)] | None = None
    """calls of the assistant; a `tool` message follows for each"""
    tool_call_id: Annotated[str, StringConstraints(max_length=256)] | None = None
    """id of the call whose result a `tool` message has"""
    annotations: list[Any] | None = None
    """accepted, no effect"""
    id: Any = None
    """accepted, no effect"""
    cache_control: Any = None
    """accepted, no effect"""
    reasoning_details: Any = None
    """accepted, no effect: thinking of a past turn (OpenRouter)"""

    def text(self) -> str:
        """Return the content as one string."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""

    def media(self) -> int | None:
        """Return the index of the first part that is no text, None if there is none."""
        parts = self.content if isinstance(self.content, list) else []
        return next((i for i, part in enumerate(parts) if isinstance(part, MediaPart)), None)

    def parts(self) -> list[Json]:
        """Return the parts of the content as the client sent them."""
        parts = self.content if isinstance(self.content, list) else []
        return [part.model_dump(exclude_none=True) for part in parts]


def check_length(messages: Sequence[ChatMessage], param: str) -> None:
    """Raise ApiError if a conversation, converted to messages of a chat, has too many of them."""
    if len(messages) > MAX_MESSAGES:
        message = f"{param}: The conversation has more than {MAX_MESSAGES} messages; shorten it."
        raise ApiError(400, message, param=param)


def as_turn(message: ChatMessage) -> Message:
    """Return a message as the renderer reads it, without thinking."""
    role = "system" if message.role == "developer" else message.role
    if not message.tool_calls and role != "tool":
        return Message(role, message.text())
    calls = [past_call(call, index) for index, call in enumerate(message.tool_calls or ())]
    return Message(role, message.text(), None, tuple(calls), message.tool_call_id)
