"""Write the tables of docs/benchmarks.md from r1kit/evals/suite.py and published.py.

    python scripts/benchmarks_reference.py

tests/laws/test_benchmarks_reference.py fails if the page is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from r1kit.evals.published import published
from r1kit.evals.suite import BENCHMARKS

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
HEAD = "|---|---|---|---|---|---|"


def suite() -> list[str]:
    """Return a row per benchmark."""
    rows = []
    for spec in BENCHMARKS.values():
        where = f"{spec.hub}{f' @{spec.revision[:7]}' if spec.revision else ''}" or "generated"
        size = "" if spec.n_rows is None else f"{spec.n_rows:,}"
        rows.append(
            f"| `{spec.name}` | {spec.title} | {where} | {size} | {spec.licence} | {spec.kind}, "
            f"{spec.grader} |"
        )
    return rows


def scores() -> list[str]:
    """Return the table of published scores, a row per model."""
    names = [name for name in BENCHMARKS if published(name)]
    cells: dict[str, dict[str, str]] = {}
    for name in names:
        for score in published(name):
            cells.setdefault(score.model, {})[name] = f"{score.value:g}"
    lines = [f"| model | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for model, row in cells.items():
        lines.append(f"| {model} | {' | '.join(row.get(name, '') for name in names)} |")
    return lines


def with_tables(page: str) -> str:
    """Return the page with both tables as they should be."""
    rows = "\n".join(["", HEAD, *suite(), ""])
    pattern = rf"\n{re.escape(HEAD)}\n(<!-- suite -->\n)?(\| `.*\n)*"
    page = re.sub(pattern, lambda _: rows, page)
    before = page.partition("<!-- published -->")[0]
    return before + "\n".join(["<!-- published -->", "", *scores(), ""])


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
