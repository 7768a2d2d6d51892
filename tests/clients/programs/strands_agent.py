"""An agent with a tool."""

from strands import Agent, tool
from strands.models.openai import OpenAIModel

from weather import MODEL, QUESTION, weather

agent = Agent(OpenAIModel(model_id=MODEL), tools=[tool(weather)], callback_handler=None)
assert "sunny" in str(agent(QUESTION))
