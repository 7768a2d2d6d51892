"""An agent with a tool."""

import os

from crewai import LLM, Agent
from crewai.tools import tool

from weather import MODEL, QUESTION, weather

llm = LLM(f"openai/{MODEL}", base_url=os.environ["OPENAI_BASE_URL"], api_key="none")
agent = Agent(role="r", goal="g", backstory="b", llm=llm, tools=[tool("weather")(weather)])
assert "sunny" in agent.kickoff(QUESTION).raw
