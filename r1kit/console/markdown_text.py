"""Markdown that contains external text, none of which is read as markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1kit.console.formatting import printable


def escape(text: str) -> str:
    """Return the text as one line, escaped for Markdown and HTML."""
    return re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", " ".join(printable(text).split()))


def fenced(text: str) -> str:
    """Return a code block that the text cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{printable(text)}\n{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; its cells are escaped."""
    lines = [head, ["---"] * len(head), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
