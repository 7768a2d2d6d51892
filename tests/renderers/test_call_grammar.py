"""Which answers the grammar of strict tools allows, in every format."""

from typing import Any

import pytest

from r1kit.engines.grammar import Grammars
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers.call_grammar import call_grammar
from r1kit.renderers.tool_formats import LLAMA3, TOOL_FORMATS, ToolFormat
from tests.serve.scripted_model import TOKENIZER_TEXTS

CITY = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"], "additionalProperties": False}  # fmt: skip
SCHEMAS: dict[str, Any] = {"weather": CITY, "a.b-c:d": {"type": "object"}}
MARKS = ["<tool_call>", "</tool_call>", "<｜tool▁sep｜>", "<｜tool▁call▁begin｜>", "[TOOL_CALLS]"]


@pytest.fixture(scope="module", params=["marks as text", "marks as special tokens"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    trained = train_tokenizer(TOKENIZER_TEXTS, 340)
    if "special" in request.param:
        trained.add_special_tokens({"additional_special_tokens": MARKS})
    return trained


def n_allowed(tokenizer: Any, tool_format: ToolFormat, text: str) -> tuple[int, int]:
    """How many tokens of an answer, with its EOS, the grammar allows, and how many there are."""
    grammars = Grammars(tokenizer, len(tokenizer), [tokenizer.eos_token_id])
    grammar = call_grammar(tool_format, SCHEMAS, grammars.special_ids())
    matcher = grammars.start(grammar)._matcher
    ids = tokenizer.encode(text, add_special_tokens=False)
    n = matcher.try_consume_tokens(ids)
    may_end = matcher.is_stopped() or matcher.is_accepting()
    return n + (n == len(ids) and may_end), len(ids) + 1


def example(tool_format: ToolFormat, name: str, arguments: str) -> str:
    return tool_format.example.replace("NAME", name).replace("ARGUMENTS", arguments)


def as_json(tool_format: ToolFormat, city: str) -> str:
    return f'{{"name": "weather", "{tool_format.arguments_key}": {{"city": "{city}"}}}}'


@pytest.mark.parametrize("tool_format", TOOL_FORMATS, ids=lambda tool_format: tool_format.name)
def test_text_and_calls_that_follow_are_allowed(tokenizer: Any, tool_format: ToolFormat) -> None:
    call, other = (
        example(tool_format, "weather", '{"city": "Paris"}'),
        example(tool_format, "a.b-c:d", '{"x": [1]}'),
    )
    alone = as_json(tool_format, "Rome")
    texts = ["", "It is sunny.", "a <think> b </think> c", '{"x": 1}', "```python\nx = {}\n```"]
    texts += [call, other, f"I look.\n{call}", alone, f"[{alone}]", f"\n\n{alone}"]
    texts.append(f"```json\n{alone}\n```")
    if tool_format.end:
        texts += [f"{call}\n{other}", f"{call} It is {other} done"]
    for text in texts:
        n, n_tokens = n_allowed(tokenizer, tool_format, text)
        assert n == n_tokens, text


@pytest.mark.parametrize("tool_format", TOOL_FORMATS, ids=lambda tool_format: tool_format.name)
def test_calls_that_do_not_follow_are_not_allowed(tokenizer: Any, tool_format: ToolFormat) -> None:
    wrong, unknown = (
        example(tool_format, "weather", '{"city": "Oslo"}'),
        example(tool_format, "rm", "{}"),
    )
    alone = as_json(tool_format, "Oslo")
    nested = f'{{"type": "function", "function": {as_json(tool_format, "Rome")}}}'
    texts = [wrong, unknown, alone, f"[{alone}]", f"```json\n{alone}\n```", nested]
    if tool_format is not LLAMA3:  # its example has no mark, and JSON after text is text
        texts.append(f"I look. {wrong}")
    else:
        texts.append(f"I look. {tool_format.begin}{wrong}")
    for text in texts:
        n, n_tokens = n_allowed(tokenizer, tool_format, text)
        assert n < n_tokens, text
