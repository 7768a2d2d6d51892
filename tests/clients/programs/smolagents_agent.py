"""An agent that calls tools until it gives its final answer."""

import os

from smolagents import OpenAIServerModel, ToolCallingAgent, tool

from weather import MODEL, QUESTION, weather

model = OpenAIServerModel(MODEL, os.environ["OPENAI_BASE_URL"], "none")
assert "sunny" in ToolCallingAgent([tool(weather)], model).run(QUESTION)
