"""The request of a chat with default settings: a stream, built-in tools, ids of its own."""

import json
import os

import httpx

from weather import MESSAGES, MODEL, TOOL

names = ("search_web", "fetch_url", "search_notes", "search_chats", "get_current_timestamp")
schema = {"type": "object", "properties": {"query": {"type": "string"}, "count": {
    "anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}}}  # fmt: skip
tools = [{"type": "function", "function": {"name": name, "description": name, "parameters": schema}}
         for name in names]  # fmt: skip
body = {"model": MODEL, "messages": MESSAGES, "stream": True, "tools": [*tools, TOOL],
        "stream_options": {"include_usage": True}, "session_id": "s", "chat_id": "c",
        "metadata": {"user_id": "u"}}  # fmt: skip
url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
with httpx.stream("POST", url, json=body) as answer:
    assert answer.status_code == 200, answer.read()
    lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
assert lines[-1] == "[DONE]"
deltas = [part["choices"][0]["delta"] for part in map(json.loads, lines[:-1]) if part["choices"]]
calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
assert calls[0]["function"]["name"] == "weather"
