"""Generate the field tables in docs/serving.md from the request models in r1kit/serve/.

    python scripts/serving_reference.py

The docstring under a field is its meaning; its JSON schema gives the allowed values.
tests/laws/test_serving_reference.py fails if the page is stale.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from r1kit.serve import (
    chat_message,
    ignored,
    messages,
    responses,
    schema,
    thinking,
    tokenize,
    tools,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "serving.md"
RECIPE = runpy.run_path(str(ROOT / "scripts" / "recipe_reference.py"))
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "≥ {} characters",
    "maxLength": "≤ {} characters",
    "minItems": "≥ {} entries",
    "maxItems": "≤ {} entries",
}
WITH_THINKING_ELSEWHERE = (messages.MessagesRequest, tokenize.TokenizeRequest)
"""models whose fields about thinking are those of a chat request"""
KINDS = {"string": "text", "object": "object", "null": "null", "boolean": "true or false"}


def fields(model: type[BaseModel]) -> str:
    """Return a table with a row per field, without those that have a table of their own."""
    elsewhere = set() if model is ignored.IgnoredParams else set(ignored.IgnoredParams.model_fields)
    if model in WITH_THINKING_ELSEWHERE:
        elsewhere |= set(thinking.ThinkingParams.model_fields)
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    meanings = RECIPE["meanings"](model)
    rows = [
        [f"`{name}`" + " (required)" * (name in required), allowed(of), meanings[names[name]]]
        for name, of in schema["properties"].items()
        if name not in elsewhere
    ]
    lines: str = RECIPE["table"](["field", "allowed", "meaning"], rows)
    return lines


def allowed(of: dict[str, Any]) -> str:
    """Describe a JSON schema: `integer ≥ 1, ≤ 8`; null means an absent field and is omitted."""
    if "anyOf" in of:
        parts = [part for part in of["anyOf"] if part.get("type") != "null"]
        return " or ".join(map(allowed, parts)) or "null"
    if "$ref" in of:
        return f"`{of['$ref'].rsplit('/', 1)[1]}`"
    if "enum" in of:
        return ", ".join(f"`{value}`" for value in of["enum"])
    if "const" in of:
        return f"`{str(of['const']).lower()}`"
    kind = KINDS.get(of.get("type", "any"), of.get("type", "anything"))
    if kind == "array":
        inner = allowed(of["items"])
        kind = "list" if inner == "anything" else f"list of {inner}"
    limits = [text.format(number(of[key])) for key, text in LIMITS.items() if key in of]
    return " ".join([kind, ", ".join(limits)]).strip()


def number(value: float) -> str:
    return f"{value:_}" if abs(value) < 2**62 else f"{'-' * (value < 0)}2^63"


def with_fields(page: str) -> str:
    """Fill in the table after each `<!-- fields of X -->`."""

    def table(match: re.Match[str]) -> str:
        modules = (thinking, ignored, tools, chat_message, schema, responses, messages, tokenize)
        model = next(vars(m)[match[2]] for m in modules if match[2] in vars(m))
        return f"{match[1]}\n\n{fields(model)}\n\n{match[3]}"

    pattern = r"(<!-- fields of (\w+) -->).*?(<!-- end -->)"
    return re.sub(pattern, table, page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_fields(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
