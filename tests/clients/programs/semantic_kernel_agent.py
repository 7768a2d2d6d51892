"""An agent with a plugin."""

import asyncio

from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function

from openai import AsyncOpenAI
from weather import MODEL, QUESTION, weather


class Weather:
    @kernel_function(name="weather", description="the weather of a city")
    def get(self, city: str) -> str:
        return weather(city)


service = OpenAIChatCompletion(MODEL, async_client=AsyncOpenAI())
agent = ChatCompletionAgent(service=service, name="a", plugins=[Weather()])
assert "sunny" in str(asyncio.run(agent.get_response(QUESTION)))
