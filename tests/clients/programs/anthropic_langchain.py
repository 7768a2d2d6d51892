"""Anthropic's integration: an agent."""

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic

from weather import MODEL, QUESTION, weather

agent = create_agent(ChatAnthropic(model=MODEL, max_tokens=300), tools=[weather])
answer = agent.invoke({"messages": [("user", QUESTION)]})["messages"][-1]
assert "sunny" in answer.text
