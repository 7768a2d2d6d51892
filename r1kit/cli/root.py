"""The command itself: its name, its version, its entry point."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.console import Console

import r1kit
from r1kit.sentences import sentences

app = typer.Typer(
    name="r1",
    help="Turn a base language model into a reasoning model by the DeepSeek-R1 recipe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def main() -> None:
    """Entry point of `r1`."""
    # Bars of the libraries would tear the live view, also those of the worker processes.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        with sentences(Console()):  # also for what goes wrong before a command begins
            app()
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"r1kit {r1kit.__version__}")
        raise typer.Exit
