"""An agent, structured output by its three methods, and a stream."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel

from weather import MODEL, QUESTION, weather


class Point(BaseModel):
    x: int


model = ChatOpenAI(model=MODEL)
agent = create_agent(model, tools=[weather])
assert "sunny" in agent.invoke({"messages": [("user", QUESTION)]})["messages"][-1].content
for method in ("function_calling", "json_schema", "json_mode"):
    assert model.with_structured_output(Point, method=method).invoke(QUESTION).x == 5, method
assert "sunny" in "".join(str(chunk.content) for chunk in model.stream(QUESTION))
assert len(OpenAI(model=MODEL).generate(["Hi", "Bye"]).generations) == 2
