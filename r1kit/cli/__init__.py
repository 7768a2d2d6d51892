"""The command `r1`: run, show, chat, serve, sample, verify answers, look at the machine.

Every error a user can cause or mend leaves here as one sentence and an exit code; torch is imported
only by the commands that need it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from r1kit.processes import signals

if TYPE_CHECKING:
    from typer import Typer


def main() -> None:
    """Entry point of `r1`. It listens to Ctrl-C before it loads the commands."""
    # Bars of the libraries would tear the live view, also those of the worker processes.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    signals.run(_run)


def _run() -> None:
    import typer
    from rich.console import Console

    from r1kit.console.error_reporting import sentences

    app = _load()
    try:
        with sentences(Console()):  # also for what goes wrong before a command begins
            app()
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


def _load() -> Typer:
    """The application with all its commands."""
    from r1kit.cli import training, serving, checking  # noqa: F401  # isort: skip  # as in --help
    from r1kit.cli.root import app

    return app


def __getattr__(name: str) -> Any:
    """`app`, for those who call it by themselves."""
    if name == "app":
        return _load()
    raise AttributeError(name)
