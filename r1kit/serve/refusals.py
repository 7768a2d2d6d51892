"""One plain sentence for every request that does not fit the schema. Imports no torch.

pydantic reports an error for every type that a value could have had. The deepest one is about the
type that the client meant; the sentence names its field and the remedy, and never repeats what the
client sent, except for the name of an unknown field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from r1kit.serve.api_error import ApiError

REMEDIES = {
    "store": "Nothing is stored on this route; leave it out or set it to false",
    "conversation": "There are no stored conversations; send previous_response_id or all of it",
    "container": "There are no containers; leave it out",
    "mcp_servers": "The server calls no tools; leave it out",
    "background": "Answers are not made in the background; leave it out or set it to false",
    "truncation": "Input is never cut; shorten it and leave the field out",
    "functions": "It is the old name of tools; send the functions in tools",
    "function_call": "It is the old name of tool calls; use tool_choice and tool_calls",
    "audio": "Audio is not supported; leave it out",
    "modalities": 'Only text is supported; set it to ["text"] or leave it out',
    "web_search_options": "There is no web search; leave it out",
    "top_a": "It is not supported; leave it out or set it to 0",
    "typical_p": "It is not supported; leave it out or set it to 1",
    "length_penalty": "There is no beam search; leave it out or set it to 1",
    "use_beam_search": "There is no beam search; leave it out or set it to false",
    "include_stop_str_in_output": "Stop strings are left out of the text; leave it out",
    "stop_token_ids": "Token ids cannot end a text; send their text in stop",
    "guided_json": "It is not supported; send the schema in response_format",
    "guided_choice": "It is not supported; send a schema with an enum in response_format",
    "guided_regex": "It is not supported; send a schema with a pattern in response_format",
    "guided_grammar": "It is not supported; send a JSON schema in response_format",
    "structured_outputs": "It is not supported; send the schema in response_format",
    "context_management": "Nothing is stored here; shorten the conversation and leave it out",
}
"""field → why it is refused and what to do instead"""

_TYPES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_SENTENCES: dict[str, str] = {
    "missing": "It is missing",
    "none_required": "It is not supported; leave it out",
    "literal_error": "It must be {expected}",
    "greater_than_equal": "It must be at least {ge}",
    "greater_than": "It must be more than {gt}",
    "less_than_equal": "It must be at most {le}",
    "less_than": "It must be less than {lt}",
    "string_too_short": "It must have at least {min_length} characters",
    "string_too_long": "It must have at most {max_length} characters",
    "too_short": "It must have at least {min_length} entries",
    "too_long": "It must have at most {max_length} entries",
    "string_pattern_mismatch": "It must match {pattern}",
    "finite_number": "It must be a finite number",
}
_MAX_PATH = 12
"""names and places of a path that a message repeats; hostile bodies have hundreds"""
_PARTS = "Only text is supported; leave out images, audio and files"
_ROLE = "; the result of a call is a tool message"


def invalid(
    errors: Sequence[Mapping[str, Any]], field_names: Collection[str], body: Any = None
) -> ApiError:
    """Return the error for pydantic's list of errors; `field_names` are those of all bodies.

    `body` is the text of a body that is not JSON.
    """
    if errors[0]["type"] == "json_invalid":
        return ApiError(400, _json_sentence(errors[0], body))

    def depth(error: Mapping[str, Any]) -> tuple[int, bool]:
        return len(_path(error, field_names)), error["type"] not in _TYPES

    error = max(errors, key=depth)
    path = _path(error, field_names)
    shown = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in path[:_MAX_PATH]]
    param = "".join(shown).lstrip(".") + "…" * (len(path) > _MAX_PATH) or None
    if param is None:
        message = "The body must be a JSON object, sent as Content-Type: application/json."
        return ApiError(400, message)
    others = [e for e in errors if _path(e, field_names) == path]
    return ApiError(400, _sentence(error, others, path, param), param=param)


def _sentence(
    error: Mapping[str, Any], others: Sequence[Mapping[str, Any]], path: list[int | str], param: str
) -> str:
    """Return the message; `others` are all errors of this field."""
    kind = error["type"]
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    if name in REMEDIES and kind != "unwritable":
        return f"{param}: {REMEDIES[name]}."
    if kind == "extra_forbidden":
        return f"There is no field {param}; docs/serving.md lists those there are."
    if kind == "literal_error" and name == "type" and "content" in path:
        return f"{param}: {_PARTS}."
    if kind in _TYPES:
        types = dict.fromkeys(_TYPES[e["type"]] for e in others if e["type"] in _TYPES)
        return f"{param}: It must be {' or '.join(types)}."
    known = _SENTENCES.get(kind)
    reason = error["msg"] if known is None else known.format(**error.get("ctx", {}))
    reason = reason.replace("at least 1 characters", "at least 1 character")
    reason = reason.replace("at least 1 entries", "at least 1 entry")
    return f"{param}: {reason.removeprefix('Value error, ')}{_ROLE if name == 'role' else ''}."


def _json_sentence(error: Mapping[str, Any], body: Any) -> str:
    """Return the message for a body that is not JSON, with the place of the mistake."""
    position, reason = error["loc"][-1], error.get("ctx", {}).get("error", "unreadable")
    if not isinstance(body, str) or not isinstance(position, int):
        return "The body is not valid JSON."
    line = body.count("\n", 0, position) + 1
    column = position - body.rfind("\n", 0, position)
    return f"The body is not valid JSON: {reason} at line {line}, column {column}."


def _path(error: Mapping[str, Any], field_names: Collection[str]) -> list[int | str]:
    """Return the path in the body: field names and list indices, without the types of unions."""
    *inner, last = list(error["loc"])[1:] or [None]
    if error["type"] == "extra_forbidden" and isinstance(last, str):
        last = last[:64] if last.isprintable() and last.isascii() else "(unprintable)"
        return [p for p in inner if isinstance(p, int) or p in field_names] + [last]
    return [p for p in [*inner, last] if isinstance(p, int) or p in field_names]
