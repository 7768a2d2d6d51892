"""The commands that give a model away: in the format of other programs, and to the hub."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from r1kit.cli.root import app
from r1kit.console.error_reporting import sentences

EXPORT_EXAMPLES = """
Examples:

  r1 export runs/tiny --to hf --out exported --dtype bfloat16

  r1 export runs/mine --to ollama --out ollama --converter ~/llama.cpp

  r1 export runs/mine/checkpoints/zero-000120 --to gguf --out gguf --dtype q8_0
"""
PUSH_EXAMPLES = """
Examples:

  r1 push runs/mine --repo me/mine

  r1 push runs/mine --repo me/mine --yes
"""


class ExportTarget(StrEnum):
    """Formats of `--to`."""

    hf = "hf"
    gguf = "gguf"
    ollama = "ollama"


class ExportDtype(StrEnum):
    """Dtypes of `--dtype`."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    q8_0 = "q8_0"


@app.command(epilog=EXPORT_EXAMPLES)
def export(
    model: Annotated[
        str,
        typer.Argument(help="A checkpoint, the folder of a run, a model folder or a hub id."),
    ],
    to: Annotated[
        ExportTarget, typer.Option(help="Format: a Hugging Face folder, GGUF, or Ollama.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for the exported model.")],
    dtype: Annotated[
        ExportDtype,
        typer.Option(help="Numbers of the weights; auto: as they are. q8_0: GGUF only."),
    ] = ExportDtype.auto,
    converter: Annotated[
        Path | None,
        typer.Option(
            help="llama.cpp's folder or its convert_hf_to_gguf.py; default: the one on the PATH."
        ),
    ] = None,
) -> None:
    """Write a model as a Hugging Face folder, as GGUF, or for Ollama, with its model card."""
    from r1kit import export as exporting

    console = Console()
    with sentences(console, advice="Nothing was exported; --out is as it was."):
        options = exporting.ExportOptions(model, to.value, out, dtype.value, converter)
        exporting.run(options, console)


@app.command(epilog=PUSH_EXAMPLES)
def push(
    model: Annotated[
        str, typer.Argument(help="A checkpoint, the folder of a run, or a folder of r1 export.")
    ],
    repo: Annotated[str, typer.Option(metavar="ID", help="Repository on the hub: owner/name.")],
    yes: Annotated[
        bool, typer.Option("--yes/--dry-run", help="Send it; by default it is only listed.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public/--private", help="Visibility of a new repository.")
    ] = False,
) -> None:
    """Send a model to the Hugging Face hub; without --yes it lists what it would send."""
    from r1kit.export import push as pushing

    console = Console()
    with sentences(console, advice="The model on this machine is as it was."):
        pushing.run(pushing.PushOptions(model, repo, yes, public), console)
