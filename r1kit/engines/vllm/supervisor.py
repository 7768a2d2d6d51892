"""A vLLM process of a run: it listens on one address, and is started again when it dies."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from r1kit.engines.vllm.flags import VllmFlags
from r1kit.engines.vllm.server import VllmProcess, arguments, free_port, program
from r1kit.errors import EngineError

SERVED_NAME = "policy"
MAX_RESTARTS = 3
"""restarts of a server that has not sampled with new weights in between"""
_ENVIRONMENT = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}


class SupervisedVllm:
    """A vLLM process with the newest weights of a policy, watched by a thread."""

    def __init__(self, flags: VllmFlags, max_num_seqs: int, log: Path) -> None:
        """Raises ConfigError if there is no vLLM. The output is appended to the file `log`."""
        self.key = secrets.token_hex(16)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._program = program()
        self._flags = flags
        self._max_num_seqs = max_num_seqs
        self._log = log
        self._folder: Path | None = None
        self._process: VllmProcess | None = None
        self._has_started = False
        self._n_restarts = 0
        self._failure: EngineError | None = None
        self._is_closed = threading.Event()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """PID of the process guard that runs vLLM; None if there is none."""
        process = self._process
        return process.guard.pid if process else None

    def use(self, folder: Path) -> None:
        """Start with the weights of this folder from now on; the first call starts the server.

        Raises EngineError, with the last output and the likely cause, if it does not start.
        """
        self._folder, self._n_restarts = folder, 0
        if self._process is None:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"$ {' '.join(self._command())}\n")
            process = self._start()
            process.wait_until_up(self._is_closed.is_set)
            self._has_started = True

    def check(self) -> None:
        """Raises EngineError if the server died too often or could not be started again."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the server for good."""
        self._is_closed.set()
        with self._lock:
            if self._process is not None:
                self._process.stop()

    def _command(self) -> list[str]:
        assert self._folder is not None, "the server has no weights"
        return [
            *self._program,
            *arguments(SERVED_NAME, self._folder, self._flags, self._max_num_seqs),
        ]

    def _start(self) -> VllmProcess:
        self._process = VllmProcess(
            self._command(), self._port, self.key, self._write, self._restart, _ENVIRONMENT
        )
        return self._process

    def _restart(self) -> None:
        """Start the server again after its end, in the thread that waited for it."""
        process = self._process
        if self._is_closed.is_set() or process is None or not self._has_started:
            return
        process.stop()
        self._write(f"r1kit: vLLM ended with exit code {process.guard.returncode}.")
        self._n_restarts += 1
        if self._n_restarts > MAX_RESTARTS:
            self._failure = EngineError(
                f"vLLM ended {self._n_restarts} times while it sampled one step; its log is "
                f"{self._log}."
            )
            return
        with self._lock:
            if not self._is_closed.is_set():
                self._start()

    def _write(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")
