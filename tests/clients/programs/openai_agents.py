"""An agent with a function tool, on chat and on responses."""

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from weather import MODEL, QUESTION, weather

set_tracing_disabled(True)
for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel):
    agent = Agent("a", model=kind(MODEL, AsyncOpenAI()), tools=[function_tool(weather)])
    assert "sunny" in Runner.run_sync(agent, QUESTION).final_output
