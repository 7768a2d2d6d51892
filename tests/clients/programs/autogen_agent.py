"""An assistant that calls a tool and reflects on its result."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from weather import MODEL, QUESTION, weather

INFO = {"vision": False, "function_calling": True, "json_output": True, "family": "r1",
        "structured_output": True}  # fmt: skip
client = OpenAIChatCompletionClient(model=MODEL, model_info=INFO)
agent = AssistantAgent("a", client, tools=[weather], reflect_on_tool_use=True)
result = asyncio.run(agent.run(task=QUESTION))
assert "sunny" in result.messages[-1].content
