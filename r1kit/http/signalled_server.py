"""A uvicorn server that ends on a signal, and its command with it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket
from types import FrameType

import uvicorn

from r1kit.processes import signals


class SignalledServer(uvicorn.Server):
    """A server that shuts down gracefully on an ending signal, and at once on a second one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended_by: int | None = None
        self._ended_at = 0.0

    def serve_on(self, listener: socket) -> None:
        """Serve until a signal arrives, then raise its exception."""
        self.run(sockets=[listener])
        if self._ended_by is not None:
            raise signals.as_exception(self._ended_by)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle ending signals; those ignored at startup (nohup) stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        signums = [sig for sig in signals.ENDING if signal.getsignal(sig) is not signal.SIG_IGN]
        handlers = {sig: signal.signal(sig, self.handle_exit) for sig in signums}
        try:
            yield
        finally:
            for sig, handler in handlers.items():
                signal.signal(sig, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._ended_by is None:
            self._ended_by, self._ended_at, self.should_exit = sig, now, True
        elif now - self._ended_at > signals.ONE_KEY_S:
            signals.end_now(sig)
