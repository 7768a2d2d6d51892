"""Types of the options that say how a data file is read: `r1 data` and `r1 init`."""

from __future__ import annotations

from typing import Annotated

import typer

ColumnRoles = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=NAME", help="The column of a role; may be repeated."),
]
VerifierName = Annotated[str | None, typer.Option(help="math, choice, exact, code or countdown.")]
HeldOut = Annotated[
    str | None, typer.Option(help="A share, a split, or another file of questions.")
]
