"""`r1 serve --engine vllm`: a vLLM process that this server starts, watches, restarts and ends.

It listens on this machine only, with a random key, and is prompted with token ids
(engines/vllm.py). Its last output is kept for the error message if it does not start.
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape

from r1kit.engines.grammar import Grammars
from r1kit.engines.vllm import VllmEngine
from r1kit.errors import ConfigError, EngineError
from r1kit.model import folder
from r1kit.processes import process_guard
from r1kit.serve.flags import Flags
from r1kit.serve.limits import ServeLimits
from r1kit.serve.models import Served, ServedModel
from r1kit.serve.vllm_startup_errors import explained

_LOOK_S = 0.25
_ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""defaults, which the environment of the user overrides"""

log = logging.getLogger("r1kit.serve")


class Vllm:
    """A vLLM process. Each call ends the old one and returns an engine on a new one."""

    def __init__(
        self,
        command: Sequence[str],
        ask: Callable[[str, str], VllmEngine],
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`ask` makes an engine from URL and key; `told` is called with each line of output.

        `command` lacks the port.
        """
        self._command = command
        self._ask = ask
        self._told = told
        self._process: subprocess.Popen[str] | None = None
        self._engine: VllmEngine | None = None
        self._words: deque[str] = deque(maxlen=200)
        self._is_over = False

    @property
    def pid(self) -> int | None:
        """PID of the process guard that runs vLLM; None if there is none."""
        return self._process.pid if self._process else None

    def __call__(self) -> VllmEngine:
        """Start vLLM. Raises EngineError with its last output and the likely cause if it fails."""
        if self._process is not None:
            log.error("vLLM is started again. %s", explained(list(self._words)))
        self._end()
        port, key = _free_port(), secrets.token_hex(16)
        url = f"http://127.0.0.1:{port}"
        self._start([*self._command, "--port", str(port)], key)
        self._wait(url)
        self._engine = self._ask(url, key)
        return self._engine

    def close(self) -> None:
        """End vLLM for good."""
        self._is_over = True
        self._end()

    def _start(self, command: Sequence[str], key: str) -> None:
        self._words.clear()
        environment = {**_ENVIRONMENT, **os.environ, "VLLM_API_KEY": key}
        self._process = process_guard.start(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True,
            errors="replace",
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                words = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
                if words:
                    self._words.append(words)
                    self._told(words)
        engine = self._engine
        if engine is not None and process is self._process:
            engine.lose("its process has ended")

    def _wait(self, url: str) -> None:
        process = self._process
        assert process is not None
        while not _is_up(url):
            if process.poll() is not None:
                told = f"vLLM did not start (exit code {process.returncode})."
                raise EngineError(f"{told} {explained(list(self._words))}")
            if self._is_over:
                raise EngineError("The server is shutting down.")
            time.sleep(_LOOK_S)

    def _end(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
        process, self._process = self._process, None
        if process is None:
            return
        process_guard.let_go(process)  # ends its whole process group


def open_vllm(
    names: Mapping[str, Path | str], flags: Flags, limits: ServeLimits, console: Console
) -> list[ServedModel]:
    """Start a vLLM with one model; the console shows its output while it loads.

    Raises an R1Error if it does not start.
    """
    if len(names) != 1:
        raise ConfigError("A vLLM has one model; let each of several have a server of its own.")
    [(name, model)] = names.items()
    with folder.unchanged(model):  # vLLM itself would not notice changed files
        tokenizer = folder.open_tokenizer(model)
        n_ids, eos_ids = folder.vocab_and_eos(model, tokenizer)

    def ask(url: str, key: str) -> VllmEngine:
        room = _max_model_len(url, key)
        return VllmEngine(
            url, name, key, tokenizer, n_ids=n_ids, eos_ids=eos_ids, max_positions=room
        )

    command = [*program(), *arguments(name, model, flags, limits)]
    with console.status("vLLM is starting ...") as status:
        vllm = Vllm(command, ask, lambda line: status.update(escape(f"vLLM: {line[-90:]}")))
        try:
            grammars = Grammars(tokenizer, n_ids, eos_ids)
            return [Served(name, vllm, tokenizer, grammars, limits, vllm.close)]
        except BaseException:
            vllm.close()
            raise


def program() -> list[str]:
    """Return vLLM's command: R1_VLLM, this Python, .venv-vllm (`make vllm`), or `vllm` on PATH.

    Raises ConfigError if there is none.
    """
    module = ["-m", "vllm.entrypoints.openai.api_server"]
    named = os.environ.get("R1_VLLM")
    if named:
        return [named, *module]
    if importlib.util.find_spec("vllm") is not None:
        return [sys.executable, *module]
    ours = Path(".venv-vllm/bin/python")
    if ours.exists():
        return [str(ours.absolute()), *module]
    if found := shutil.which("vllm"):
        return [str(Path(found).resolve().parent / "python"), *module]
    raise ConfigError(
        "There is no vLLM here: pip install vllm (on a machine without GPU: make vllm), or name a "
        "Python that has it, R1_VLLM=/path/to/python."
    )


def arguments(name: str, model: Path | str, flags: Flags, limits: ServeLimits) -> list[str]:
    """Return vLLM's arguments except the port; logprobs are those of the sampling distribution."""
    return [
        "--model", str(model), "--served-model-name", name, "--host", "127.0.0.1",
        "--max-num-seqs", str(limits.max_rows), "--logprobs-mode", "processed_logprobs",
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


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
