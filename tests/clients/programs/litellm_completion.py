"""Four providers, whole, streamed and with a tool."""

import os

import litellm

from weather import MESSAGES, MODEL, TOOL

BASE = os.environ["OPENAI_BASE_URL"]
for provider, base in {"openai": BASE, "deepseek": BASE, "hosted_vllm": BASE,
                       "anthropic": os.environ["ANTHROPIC_BASE_URL"]}.items():  # fmt: skip
    options = {"model": f"{provider}/{MODEL}", "messages": MESSAGES}
    options |= {"api_key": "none", "api_base": base}
    answer = litellm.completion(**options).choices[0].message
    assert "sunny" in answer.content, provider
    assert answer.reasoning_content, provider
    chunks = litellm.completion(**options, stream=True)
    assert "sunny" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    [call] = litellm.completion(**options, tools=[TOOL]).choices[0].message.tool_calls
    assert call.function.name == "weather", provider
