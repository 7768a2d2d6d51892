"""A generator with a tool and its result."""

from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool

from weather import MODEL, PARAMETERS, QUESTION, weather

tool = Tool(name="weather", description="the weather", parameters=PARAMETERS, function=weather)
generator = OpenAIChatGenerator(model=MODEL, tools=[tool])
turns = [ChatMessage.from_user(QUESTION)]
[answer] = generator.run(messages=turns)["replies"]
result = ChatMessage.from_tool(weather(**answer.tool_call.arguments), origin=answer.tool_call)
[answer] = generator.run(messages=[*turns, answer, result])["replies"]
assert "sunny" in answer.text
