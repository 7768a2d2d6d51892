"""The command `r1`: run, show, watch, chat, serve, export, sample, verify answers, inspect.

Every error that a user can cause or fix ends as one sentence and an exit code; only the commands
that need torch import it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from r1kit.processes import signals

if TYPE_CHECKING:
    from typer import Typer


def main() -> None:
    """Entry point of `r1`. Handles Ctrl-C even while the commands are being loaded."""
    # Progress bars of libraries, in worker processes too, would break the live view.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    signals.run(_run)


def _run() -> None:
    import typer
    from rich.console import Console

    from r1kit.console.error_reporting import sentences

    app = _load()
    try:
        with sentences(Console()):  # also handles errors before a command begins
            app()
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


def _load() -> Typer:
    """Return the application with all its commands."""
    from r1kit.cli import training, watching, planning, serving, exporting, evaluating, checking  # noqa: F401  # isort: skip  # as in --help
    from r1kit.cli.root import app

    return app


def __getattr__(name: str) -> Any:
    """Load `app` lazily, for callers that use it directly."""
    if name == "app":
        return _load()
    raise AttributeError(name)
