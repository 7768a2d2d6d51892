"""A call with a tool and its result, and an object."""

from mirascope import llm
from pydantic import BaseModel

from weather import QUESTION, weather


class Point(BaseModel):
    x: int


@llm.call("openai/tiny:completions", tools=[llm.tool(weather)])
def ask() -> str:
    return QUESTION


@llm.call("openai/tiny:completions", format=Point)
def point() -> str:
    return "Which point?"


response = ask()
response = response.resume(response.execute_tools())
assert "sunny" in response.text()
assert point().parse() == Point(x=5)
