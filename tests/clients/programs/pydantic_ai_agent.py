"""Agents with a tool, on chat, responses and messages, and objects by three output modes."""

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

from weather import MODEL, QUESTION, weather


class Point(BaseModel):
    x: int


for kind in (OpenAIChatModel, OpenAIResponsesModel, AnthropicModel):
    agent = Agent(kind(MODEL), tools=[weather])
    assert "sunny" in agent.run_sync(QUESTION).output, kind
model = OpenAIChatModel(MODEL)
for output in (Point, NativeOutput(Point), PromptedOutput(Point)):
    assert Agent(model, output_type=output).run_sync("Which point?").output == Point(x=5), output
