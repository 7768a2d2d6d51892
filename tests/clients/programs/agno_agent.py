"""An agent with a tool."""

import os

from agno.agent import Agent
from agno.models.openai.like import OpenAILike

from weather import MODEL, QUESTION, weather

model = OpenAILike(id=MODEL, api_key="none", base_url=os.environ["OPENAI_BASE_URL"])
assert "sunny" in Agent(model=model, tools=[weather]).run(QUESTION).content
