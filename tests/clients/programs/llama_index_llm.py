"""A chat, a stream, an agent with a tool, and an object."""

import asyncio
import os

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from weather import MODEL, QUESTION, weather


class Point(BaseModel):
    x: int


llm = OpenAILike(
    MODEL,
    api_base=os.environ["OPENAI_BASE_URL"],
    api_key="none",
    is_chat_model=True,
    is_function_calling_model=True,
)
assert "sunny" in llm.chat([ChatMessage(QUESTION)]).message.content
assert "sunny" in [part.message.content for part in llm.stream_chat([ChatMessage(QUESTION)])][-1]


async def run() -> str:
    return str(await FunctionAgent(tools=[weather], llm=llm).run(QUESTION))


assert "sunny" in asyncio.run(run())
assert llm.as_structured_llm(Point).complete("Which point?").raw == Point(x=5)
