"""Fields that are accepted and have no effect; a response header names those that were sent.

None of them changes what an answer means; a value that would do so is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from r1kit.serve.fields import WireModel

HEADER = "x-fields-without-effect"
"""response header with the names of the fields that had no effect"""

_One = Annotated[float, Field(ge=1, le=1)]
_Zero = Annotated[float, Field(ge=0, le=0)]


class IgnoredParams(WireModel):
    """Fields without effect that every route accepts."""

    user: Annotated[str, StringConstraints(max_length=512)] | None = None
    """OpenAI: an id of the user"""
    user_id: Any = None
    """DeepSeek: an id of the user"""
    safety_identifier: str | None = None
    """OpenAI: an id of the user"""
    session_id: Any = None
    """OpenRouter, Open WebUI: an id of the chat"""
    chat_id: Any = None
    """Open WebUI: an id of the chat"""
    request_id: Any = None
    """vLLM: an id of the request; responses have one of their own"""
    metadata: dict[str, Any] | None = None
    """OpenAI: notes of the client"""
    verbosity: str | None = None
    """OpenAI: how long the answer should be"""
    modalities: list[Literal["text"]] | None = None
    """OpenAI: kinds of output; only text is supported"""
    prediction: Any = None
    """OpenAI: a guess of the answer, which could only make it faster"""
    service_tier: str | None = None
    """OpenAI: speed at a price"""
    priority: Any = None
    """vLLM: place in the queue"""
    prompt_cache_key: str | None = None
    """OpenAI: a hint for the prompt cache"""
    prompt_cache_retention: str | None = None
    """OpenAI: a hint for the prompt cache"""
    client_metadata: Any = None
    """Codex: notes of the client"""
    cache_control: Any = None
    """Anthropic: a hint for the prompt cache"""
    cache_prompt: bool | None = None
    """llama.cpp: a hint for the prompt cache"""
    keep_alive: Any = None
    """Ollama: how long the model stays loaded"""
    provider: Any = None
    """OpenRouter: which providers to prefer"""
    transforms: Any = None
    """OpenRouter: how to shorten prompts; prompts are never shortened"""
    use_fallback: Any = None
    """OpenRouter: whether another model may answer"""
    drop_params: Any = None
    """LiteLLM: an option of the client"""
    web_search_options: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    """OpenAI: refused unless empty"""
    spaces_between_special_tokens: bool | None = None
    """vLLM: control tokens are never part of a text"""
    include_stop_str_in_output: Literal[False] | None = None
    """vLLM: refused unless false"""
    use_beam_search: Literal[False] | None = None
    """vLLM: refused unless false"""
    length_penalty: _One | None = None
    """vLLM: refused unless 1"""
    typical_p: _One | None = None
    """llama.cpp: refused unless 1"""
    top_a: _Zero | None = None
    """OpenRouter: refused unless 0"""


def fields_without_effect(body: WireModel) -> list[str]:
    """Return the names of the fields in a request that had no effect, without list indices."""
    names = dict.fromkeys(_without_effect(body, ""))
    return list(names)


def _without_effect(part: Any, path: str) -> list[str]:
    if isinstance(part, list):
        return [name for item in part for name in _without_effect(item, f"{path}[]")]
    if not isinstance(part, WireModel):
        return []
    if part.is_without_effect:
        return [path.lstrip(".")]
    names = []
    for name in sorted(part.model_fields_set):
        at = f"{path}.{name}".lstrip(".")
        if name in IgnoredParams.model_fields or name in part.without_effect:
            names.append(at)
        else:
            names += _without_effect(getattr(part, name), at)
    return names
