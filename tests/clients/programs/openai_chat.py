"""A chat, a stream, a tool and its result, a parsed object, and a response."""

from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel

from weather import MESSAGES, MODEL, TOOL


class Point(BaseModel):
    x: int


client = OpenAI()
with client.chat.completions.stream(model=MODEL, messages=MESSAGES, n=3) as stream:
    choices = stream.get_final_completion().choices
assert ["sunny" in choice.message.content for choice in choices] == [True] * 3
create = client.chat.completions.create
answer = create(model=MODEL, messages=MESSAGES)
assert "sunny" in answer.choices[0].message.content
with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
    assert "sunny" in "".join(e.delta for e in stream if e.type == "content.delta")
message = create(model=MODEL, messages=MESSAGES, tools=[TOOL]).choices[0].message
assert message.tool_calls[0].function.arguments == '{"city": "Paris"}'
result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
answer = create(model=MODEL, messages=[*MESSAGES, message, result], tools=[TOOL])
assert "sunny" in answer.choices[0].message.content
parsed = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Point)
assert parsed.choices[0].message.parsed == Point(x=5)
parsed = client.chat.completions.parse(
    model=MODEL, messages=MESSAGES, tools=[pydantic_function_tool(Point)], tool_choice="required"
)
assert parsed.choices[0].message.tool_calls[0].function.parsed_arguments == Point(x=5)
assert "sunny" in client.responses.create(model=MODEL, input=MESSAGES).output_text
assert client.responses.parse(model=MODEL, input=MESSAGES, text_format=Point).output_parsed.x == 5
