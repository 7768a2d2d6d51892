"""The lines of 2023, unchanged but for address and key: `openai==0.28` (`make old-client`)."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.serve.conftest import Server

PYTHON = Path(os.environ.get("R1_OLD_CLIENT", ".venv-old-client/bin/python")).absolute()
PLAIN = {"model": "deepseek-r1", "prompt": "7x", "max_tokens": 4, "seed": 5}
ASK = """
import json, sys, openai
openai.api_base = sys.argv[1]
openai.api_key = sys.argv[2]
def ask(**more):
    messages = [{"role": "user", "content": "수학 문제 풀어줘"}]
    return openai.ChatCompletion.create(model="deepseek-r1", messages=messages, **more)
kept = {"seed": 5, "max_tokens": 24, "thinking": {"type": "enabled", "budget_tokens": 9}}
said = {"plain": ask(max_tokens=4), "whole": ask(**kept), "thinking": "", "content": ""}
for chunk in ask(stream=True, **kept):
    delta = chunk["choices"][0]["delta"]
    said["thinking"] += delta.get("reasoning_content") or ""
    said["content"] += delta.get("content") or ""
said["text"] = openai.Completion.create(**json.loads(sys.argv[3]))
said["models"] = [model["id"] for model in openai.Model.list()["data"]]
try:
    openai.ChatCompletion.create(model="gpt-4", messages=[{"role": "user", "content": "hi"}])
except openai.error.InvalidRequestError as error:
    said["error"] = [error.http_status, error.param, str(error)]
print(json.dumps(said))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="no openai==0.28 here; make old-client")
def test_openai_0_28_works_unchanged(server: Server) -> None:
    command = [str(PYTHON), "-c", ASK, f"{server.url}/v1", "none", json.dumps(PLAIN)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    output = json.loads(result.stdout)
    text = server.client.post("/v1/completions", json=PLAIN).json()
    message = output["whole"]["choices"][0]["message"]
    assert output["plain"]["choices"][0]["finish_reason"] == "length"
    assert (output["thinking"], output["content"]) == (
        message["reasoning_content"],
        message["content"],
    )
    assert output["content"]
    assert output["text"]["choices"] == text["choices"]
    assert "deepseek-r1" in output["models"]
    assert output["error"][:2] == [404, "model"]
