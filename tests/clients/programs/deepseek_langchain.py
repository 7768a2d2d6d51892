"""DeepSeek's integration: thinking, an agent and structured output."""

import os

from langchain.agents import create_agent
from langchain_deepseek import ChatDeepSeek
from pydantic import BaseModel

from weather import MODEL, QUESTION, weather


class Point(BaseModel):
    x: int


model = ChatDeepSeek(model=MODEL, api_key="none", api_base=os.environ["OPENAI_BASE_URL"])
assert model.invoke(QUESTION).additional_kwargs["reasoning_content"]
agent = create_agent(model, tools=[weather])
assert "sunny" in agent.invoke({"messages": [("user", QUESTION)]})["messages"][-1].content
for method in (None, "json_schema", "json_mode"):
    options = {"method": method} if method else {}
    assert model.with_structured_output(Point, **options).invoke(QUESTION).x == 5
