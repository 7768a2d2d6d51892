"""An agent with a tool, on chat and on responses."""

import asyncio

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient

from weather import MODEL, QUESTION, weather

for kind in (OpenAIChatCompletionClient, OpenAIChatClient):
    agent = Agent(kind(model=MODEL), tools=[weather], default_options={"store": False})
    assert "sunny" in asyncio.run(agent.run(QUESTION)).text, kind
