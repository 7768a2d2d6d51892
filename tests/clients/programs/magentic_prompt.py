"""A function whose body is a prompt, and whose value is an object."""

from magentic import OpenaiChatModel, prompt
from pydantic import BaseModel

from weather import MODEL


class Point(BaseModel):
    x: int


@prompt("Which point?", model=OpenaiChatModel(MODEL))
def point() -> Point: ...


assert point() == Point(x=5)
