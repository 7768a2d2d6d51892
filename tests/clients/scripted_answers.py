"""The model behind the clients: it calls the tool that it is offered, and reads the result."""

from collections.abc import Callable
from typing import Any

from r1kit.renderers.tool_text import RESULT
from r1kit.types import Request

CITY, POINT = '{"city": "Paris"}', '{"x": 5}'
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
FINAL = '<tool_call>\n{"name": "final_answer", "arguments": {"answer": "sunny"}}\n</tool_call>'
SUNNY = "It is sunny in Paris."
ANSWERS = (
    ("[[ ## answer ## ]]", "[[ ## answer ## ]]\n5\n\n[[ ## completed ## ]]"),
    ("Which point", POINT),
)
"""(part of the prompt, answer)"""


def writer(tokenizer: Any) -> Callable[[Request], str]:
    """Return the text of the model for a request."""

    def write(request: Request) -> str:
        if schema := request.sampling.json_schema:
            return CITY if "city" in schema else POINT
        prompt = tokenizer.decode(request.prompt_ids)
        thinking = "" if "</think>" in prompt[-30:] else "The user asks.</think>\n\n"
        return thinking + answer(prompt)

    return write


def answer(prompt: str) -> str:
    """Return a call, the answer to a result, or a text."""
    is_answered = RESULT in prompt.rpartition("Paris?")[2]
    if '"name": "weather"' in prompt and not is_answered:
        return CALL
    if '"name": "final_answer"' in prompt:
        return FINAL
    return next((text for part, text in ANSWERS if part in prompt), SUNNY)
