"""The command `r1` itself: its name and version."""

from __future__ import annotations

from typing import Annotated

import typer

import r1kit

app = typer.Typer(
    name="r1",
    help="Turn a base language model into a reasoning model by the DeepSeek-R1 recipe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"r1kit {r1kit.__version__}")
        raise typer.Exit
