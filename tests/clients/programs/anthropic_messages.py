"""Thinking and text, a stream, a tool and its result, and a count of tokens."""

from anthropic import Anthropic

from weather import MESSAGES, MODEL, PARAMETERS

client = Anthropic()
asked = {"model": MODEL, "max_tokens": 300, "messages": MESSAGES}
thinking = {"type": "enabled", "budget_tokens": 100}
message = client.messages.create(**asked, thinking=thinking)
assert [block.type for block in message.content] == ["thinking", "text"]
with client.messages.stream(**asked) as stream:
    assert "sunny" in "".join(stream.text_stream)
tools = [{"name": "weather", "description": "the weather", "input_schema": PARAMETERS}]
message = client.messages.create(**asked, tools=tools)
call = message.content[-1]
assert (message.stop_reason, call.name, call.input) == ("tool_use", "weather", {"city": "Paris"})
result = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]
turns = [*MESSAGES, {"role": "assistant", "content": message.content}]
turns.append({"role": "user", "content": result})
message = client.messages.create(model=MODEL, max_tokens=300, messages=turns, tools=tools)
assert "sunny" in message.content[-1].text
assert client.messages.count_tokens(model=MODEL, messages=MESSAGES).input_tokens > 10
