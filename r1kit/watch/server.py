"""`r1 watch` and `r1 run --watch`: start the page on this machine, and say where it is."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from socket import socket

import uvicorn
from rich.console import Console

from r1kit.errors import ConfigError
from r1kit.http.listener import listening, reached_at
from r1kit.http.signalled_server import SignalledServer
from r1kit.processes import process_guard
from r1kit.watch.routes import build
from r1kit.watch.run_list import RunList, check_folders

HOST = "127.0.0.1"
PORT = 8765
N_PORTS = 20
"""ports that are tried from the first one on, if no port is asked for"""
NICE = 5
"""the page waits for the training, not the training for the page"""


def run(folders: Sequence[Path], port: int | None, open_browser: bool, console: Console) -> None:
    """Serve the page of some run folders until interrupted.

    Raises RunError for a folder without a run, and ConfigError for a port that is taken.
    """
    check_folders(folders)

    def announce(url: str) -> None:
        console.print(f"Watching at {url} (Ctrl-C closes the page, not the run)", highlight=False)
        if open_browser:
            show_in_browser(url)

    serve(folders, port, announce)


def serve(folders: Sequence[Path], port: int | None, announce: Callable[[str], None]) -> None:
    """Serve the page, also if no run has begun in the folders yet."""
    with suppress(OSError):
        os.nice(NICE)
    with free_port(port) as listener:
        announce(reached_at(HOST, listener.getsockname()[1]))
        config = uvicorn.Config(
            build(RunList(folders)),
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        SignalledServer(config).serve_on(listener)


def show_in_browser(url: str) -> None:
    """Open the address in a browser with a window; on a machine without a screen do nothing.

    There Python would start a browser for terminals, in the middle of the output.
    """
    has_screen = sys.platform == "darwin" or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )
    if has_screen and not os.environ.get("SSH_CONNECTION"):
        with suppress(webbrowser.Error, OSError):
            webbrowser.open(url)


def free_port(port: int | None) -> socket:
    """Return a socket that listens on a port; None takes the first free one from 8765 on.

    Raises ConfigError if the port that was asked for is taken.
    """
    if port is not None:
        return listening(HOST, port)
    for candidate in range(PORT, PORT + N_PORTS):
        with suppress(ConfigError):
            return listening(HOST, candidate)
    return listening(HOST, 0)


@contextmanager
def open_beside(folder: Path) -> Iterator[str]:
    """Serve and open the page of a run in a process of its own; yield its address.

    It ends with the block or this process, and costs the run nothing while nobody looks.
    """
    command = [sys.executable, "-m", "r1kit.watch.server", str(folder)]
    process = process_guard.start(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        show_in_browser(url)
        yield url
    finally:
        process_guard.stop(process)
        process.stdout.close()


if __name__ == "__main__":
    serve([Path(sys.argv[1])], None, partial(print, flush=True))
