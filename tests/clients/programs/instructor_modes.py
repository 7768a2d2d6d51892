"""Objects by tools, JSON schema and Markdown."""

import instructor
from openai import OpenAI
from pydantic import BaseModel

from weather import MODEL


class Point(BaseModel):
    x: int


MODES = ("TOOLS", "TOOLS_STRICT", "JSON", "JSON_SCHEMA", "MD_JSON", "RESPONSES_TOOLS")
for mode in MODES:
    client = instructor.from_openai(OpenAI(), mode=instructor.Mode[mode])
    messages = [{"role": "user", "content": "Which point?"}]
    made = client.create(model=MODEL, response_model=Point, messages=messages, max_retries=0)
    assert made.x == 5, mode
