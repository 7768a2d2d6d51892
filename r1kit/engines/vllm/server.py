"""A vLLM process that its owner starts, watches, restarts and ends.

It listens on this machine only, with a random key, and is prompted with token ids
(engine.py). Its last output is kept for the error message if it does not start.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from r1kit.engines.vllm.engine import VllmEngine
from r1kit.engines.vllm.flags import CPU_CACHE, CPU_CACHE_GIB, VllmFlags
from r1kit.engines.vllm.startup_errors import explain
from r1kit.errors import ConfigError, EngineError
from r1kit.processes import process_guard

_POLL_S = 0.25
_ENVIRONMENT = {CPU_CACHE: CPU_CACHE_GIB, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""defaults, which the environment of the user overrides"""

log = logging.getLogger("r1kit.engines")


class VllmProcess:
    """One vLLM process, from its start to its end, with its last output."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        key: str,
        on_output: Callable[[str], None],
        on_end: Callable[[], None],
        environment: Mapping[str, str] = {},
    ) -> None:
        """Start it; `command` lacks the port. `on_end` is called from another thread."""
        self.url = f"http://127.0.0.1:{port}"
        self.output: deque[str] = deque(maxlen=200)
        self._on_output = on_output
        self._on_end = on_end
        self.guard = process_guard.start(
            [*command, "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**_ENVIRONMENT, **os.environ, **environment, "VLLM_API_KEY": key},
            text=True,
            errors="replace",
        )
        for watch in (self._read_output, self._await_end):
            threading.Thread(target=watch, daemon=True).start()

    def wait_until_up(self, is_closed: Callable[[], bool]) -> None:
        """Wait until it has loaded its model.

        Raises EngineError with its last output and the likely cause if it ends before that.
        """
        while not _is_up(self.url):
            if self.guard.poll() is not None:
                failure = f"vLLM did not start (exit code {self.guard.returncode})."
                raise EngineError(f"{failure} {explain(list(self.output))}")
            if is_closed():
                raise EngineError("The server is shutting down.")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """End it and its whole process group."""
        process_guard.stop(self.guard)

    def _read_output(self) -> None:
        assert self.guard.stdout is not None
        with self.guard.stdout:
            for line in self.guard.stdout:
                text = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
                if text:
                    self.output.append(text)
                    self._on_output(text)

    def _await_end(self) -> None:
        """Report the end even if processes that vLLM has left behind hold its output open."""
        self.guard.wait()
        self._on_end()


class VllmServer:
    """A vLLM process. Each call ends the old one and returns an engine on a new one."""

    def __init__(
        self,
        command: Sequence[str],
        connect: Callable[[str, str], VllmEngine],
        on_output: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`command` lacks the port; `connect` makes an engine from URL and key.

        `on_output` is called with each line of output.
        """
        self._command = command
        self._connect = connect
        self._on_output = on_output
        self._process: VllmProcess | None = None
        self._engine: VllmEngine | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """PID of the process guard that runs vLLM; None if there is none."""
        return self._process.guard.pid if self._process else None

    def __call__(self) -> VllmEngine:
        """Start vLLM. Raises EngineError with its last output and the likely cause if it fails."""
        if self._process is not None:
            log.error("vLLM is started again. %s", explain(list(self._process.output)))
        self._end()
        key = secrets.token_hex(16)
        process = VllmProcess(
            self._command, free_port(), key, self._on_output, lambda: self._mark_lost(process)
        )
        self._process = process
        process.wait_until_up(lambda: self._is_closed)
        self._engine = self._connect(process.url, key)
        return self._engine

    def close(self) -> None:
        """End vLLM for good."""
        self._is_closed = True
        self._end()

    def _mark_lost(self, process: VllmProcess) -> None:
        engine = self._engine
        if engine is not None and process is self._process:
            engine.mark_lost("its process has ended")

    def _end(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
        process, self._process = self._process, None
        if process is not None:
            process.stop()


def vllm_server(
    model: Path | str,
    name: str,
    tokenizer: Any,
    *,
    vocab_size: int,
    eos_ids: Collection[int],
    flags: VllmFlags,
    max_num_seqs: int,
    on_output: Callable[[str], None] = lambda _: None,
) -> VllmServer:
    """Return a server of one model, not yet started. Raises ConfigError if there is no vLLM."""

    def connect(url: str, key: str) -> VllmEngine:
        max_positions = _max_model_len(url, key)
        return VllmEngine(
            url,
            name,
            key,
            tokenizer,
            vocab_size=vocab_size,
            eos_ids=eos_ids,
            max_positions=max_positions,
        )

    command = [*program(), *arguments(name, model, flags, max_num_seqs)]
    return VllmServer(command, connect, on_output)


def program() -> list[str]:
    """Return vLLM's command: R1_VLLM, this Python, .venv-vllm (`make vllm`), or `vllm` on PATH.

    Raises ConfigError if there is none.
    """
    module = ["-m", "vllm.entrypoints.openai.api_server"]
    if python := os.environ.get("R1_VLLM"):
        return [python, *module]
    if importlib.util.find_spec("vllm") is not None:
        return [sys.executable, *module]
    own_python = Path(".venv-vllm/bin/python")
    if own_python.exists():
        return [str(own_python.absolute()), *module]
    if script := shutil.which("vllm"):
        return [str(Path(script).resolve().parent / "python"), *module]
    raise ConfigError(
        "There is no vLLM here: pip install vllm (on a machine without GPU: make vllm), or name a "
        "Python that has it, R1_VLLM=/path/to/python."
    )


def arguments(name: str, model: Path | str, flags: VllmFlags, max_num_seqs: int) -> list[str]:
    """Return vLLM's arguments except the port; logprobs are those of the sampling distribution."""
    return [
        "--model", str(model), "--served-model-name", name, "--host", "127.0.0.1",
        "--max-num-seqs", str(max_num_seqs), "--logprobs-mode", "processed_logprobs",
        "--enable-prompt-tokens-details", "--generation-config", "vllm", *flags.arguments(),
    ]  # fmt: skip


def _max_model_len(url: str, key: str) -> int:
    reply = httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=30)
    return int(reply.json()["data"][0]["max_model_len"])


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
