"""The report: what a run reached, in the terminal, as report.md and as report.html.

Made from the run folder alone, without torch, as often as wanted, also while the run goes on.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from r1kit.durable import replace_file
from r1kit.evidence import Evidence, read
from r1kit.live import printable
from r1kit.report import markdown, page, plots
from r1kit.report.facts import Facts, gather

PICTURE = "curves.png"


def show(run: Path, console: Console) -> None:
    """Print the summary of the run at `run` and write its reports again.

    Raises RunError when the folder is not a run.
    """
    evidence = read(run)
    facts = gather(evidence)
    write(evidence, facts)
    console.print(Padding(_promise(facts), (1, 2, 0, 2)))
    if facts.stages:
        console.print(Padding(_stages(facts), (1, 2, 0, 2)))
    if facts.claims:
        console.print(Padding(_claims(facts), (1, 2, 0, 2)))
    console.print(Padding(_findings(facts), (1, 2, 0, 2)))
    console.print(Padding(Text(f"Report: {run / 'report.html'}", "dim"), (1, 2)), soft_wrap=True)


def write(evidence: Evidence, facts: Facts) -> None:
    """Write report.md, report.html and the picture into the run folder."""
    drawn = plots.panels(evidence)
    has_picture = plots.save_png(evidence, evidence.path / PICTURE)
    text = markdown.render(facts, PICTURE if has_picture else None)
    curves = [(panel.title, panel.caption, plots.svg(panel, rows)) for panel, rows in drawn]
    replace_file(evidence.path / "report.md", text)
    replace_file(evidence.path / "report.html", page.render(facts, curves))


def _promise(facts: Facts) -> Text:
    return Text.assemble((printable(facts.name), "dim"), "\n", (facts.promise, "bold"))


def _stages(facts: Facts) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("stage", "pass@1", "tokens", "reflection", "language", "cut off", "time"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for row in facts.stages:
        cells = (row.pass_at_1, row.tokens, row.reflection, row.language, row.cut_off, row.wall)
        table.add_row(Text(printable(row.name), "bold"), *map(Text, cells))
    return table


def _claims(facts: Facts) -> Table:
    table = Table.grid(padding=(0, 2))
    for claim in facts.claims:
        seen = Text("✓", "green") if claim.is_seen else Text("✗", "red")
        table.add_row(seen, Text.assemble(claim.text, "\n", (claim.numbers, "dim")))
    return table


def _findings(facts: Facts) -> Table:
    marks = {"warning": Text("!", "bold yellow"), "note": Text("·"), "fine": Text("✓", "green")}
    table = Table.grid(padding=(0, 2))
    for finding in facts.findings:
        told = Text.assemble(
            (f"{finding.title} ", "bold"), (f"{finding.stage}\n", "dim"), finding.seen
        )
        if finding.level == "warning":
            told.append(f" {finding.cause}\n{finding.action}")
        table.add_row(marks[finding.level], told)
    return table
