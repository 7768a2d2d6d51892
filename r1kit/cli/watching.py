"""The command that shows runs on a local page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from r1kit.cli.root import app
from r1kit.console.error_reporting import sentences
from r1kit.errors import require

WATCH_EXAMPLES = """
Examples:

  r1 watch

  r1 watch runs/tiny

  r1 watch runs/tiny runs/tiny-seed1 runs/tiny-seed2

On another machine: ssh -L 8765:127.0.0.1:8765 MACHINE, and open http://127.0.0.1:8765 here.
"""
RUNS = Path("runs")


@app.command(epilog=WATCH_EXAMPLES)
def watch(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs, or a folder that contains some; by default runs."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; by default the first free one from 8765 on."),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Watch runs in the browser, while they train and afterwards; reads their folders only."""
    console = Console()
    with sentences(console, advice="The run continues."):
        require("starlette")
        from r1kit.watch import server

        server.run(runs or [RUNS], port, browser, console)
