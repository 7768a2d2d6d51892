"""The report of a run's results: in the terminal, as report.md and as report.html.

It is made from the run folder alone, without torch, any number of times, also during the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from r1kit.console.formatting import printable
from r1kit.errors import DependencyError, RunError, require
from r1kit.files.atomic import replace_file
from r1kit.report import tables
from r1kit.report.facts import Facts, gather
from r1kit.report.translate import Translator, language_of
from r1kit.runs.run_reader import RunContents, read, seed_group

PICTURE = "curves"


def show(run: Path, console: Console, language: str | None = None) -> None:
    """Print the summary of the run at `run` and rewrite its reports, which takes seconds.

    They are in a language, by default the first of the recipe. The reports contain pictures:
    without matplotlib only the summary is printed. Raises RunError if the folder is not a run.
    """
    evidence = read(run)
    facts = gather(evidence, language or language_of(evidence.recipe))
    t = Translator(facts.language)
    console.print(Padding(_promise(facts), (1, 2, 0, 2)))
    for item in facts.tables:
        console.print(Padding(_fitting(item, console), (1, 2, 0, 2)))
    if facts.claims:
        console.print(Padding(_claims(facts, t), (1, 2, 0, 2)))
    console.print(Padding(_findings(facts), (1, 2, 0, 2)))
    try:
        require("matplotlib")
    except DependencyError as missing:
        console.print(Padding(Text(t("No report is written. {why}", why=missing)), (1, 2)))
        return
    with console.status(t("Drawing the report ...")):
        write(evidence, facts)
    where = Text(t("Report: {path}", path=run / "report.html"), "dim")
    console.print(Padding(where, (1, 2)), soft_wrap=True)


def draw_talk(
    runs: Sequence[Path], folder: Path, languages: Sequence[str], console: Console
) -> None:
    """Write figures for talks into a folder, by default in the languages of the recipe.

    Raises RunError if a folder is not a run, or if the runs differ in more than their seed, and
    DependencyError without matplotlib or without a font.
    """
    require("matplotlib")
    from r1kit.report.talk_files import write_talk

    contents = [read(run) for run in runs]
    for other in contents[1:]:
        if seed_group(other.recipe) != seed_group(contents[0].recipe):
            raise RunError(
                f"{other.path} and {contents[0].path} differ in more than their seed; draw them "
                "one by one."
            )
    with console.status("Drawing ..."):
        spoken = languages or contents[0].recipe.get("languages") or ("en",)
        written, missing = write_talk(contents, folder, spoken)
    for path, message in written:
        console.print(Text.assemble((f"{path}.pdf, .svg", "dim"), "\n  ", message), soft_wrap=True)
    for sentence in missing:
        console.print(Text(sentence, "yellow"), soft_wrap=True)


def write(evidence: RunContents, facts: Facts) -> None:
    """Write report.md, report.html and the pictures into the run folder.

    The pictures are in English where no font of this machine has the letters of the language.
    """
    from r1kit.report import figures, markdown, page, plots
    from r1kit.report.talk_files import lettering

    with lettering(facts.language) as drawn:
        panels, pictures = plots.panels(evidence, drawn), figures.pictures([evidence], drawn)
        has_curves = plots.save(evidence, evidence.path / PICTURE, drawn)
        for item in pictures:
            plots.save_picture(item.size, item.paint, evidence.path / item.key)
        curves = [(panel.title, panel.caption, plots.svg(panel, rows)) for panel, rows in panels]
        svgs = [
            (item.title, item.caption, plots.as_svg(item.size, item.paint, item.key))
            for item in pictures
        ]
    text = markdown.render(facts, pictures, f"{PICTURE}.png" if has_curves else None)
    replace_file(evidence.path / "report.md", text)
    replace_file(evidence.path / "report.html", page.render(facts, svgs, curves))


def _promise(facts: Facts) -> Text:
    return Text.assemble((printable(facts.name), "dim"), "\n", (facts.promise, "bold"))


def _table(item: tables.Table) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, name in enumerate(item.head):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    for name, *cells in item.rows:
        table.add_row(Text(printable(name), "bold"), *map(Text, cells))
    return table


def _fitting(item: tables.Table, console: Console) -> Table | Text:
    """Return a table if the terminal is wide enough for it, else text with one line per number."""
    table = _table(item)
    if (
        console.measure(table, options=console.options.update(width=1000)).maximum + 4
        <= console.width
    ):
        return table
    width = max(map(len, item.head[1:]))
    text = Text(item.title, "dim")
    for name, *cells in item.rows:
        text.append(f"\n{printable(name)}", "bold")
        for head, cell in zip(item.head[1:], cells, strict=True):
            text.append(f"\n  {head:<{width}}  {cell}", "default")
    return text


def _claims(facts: Facts, t: Translator) -> Table:
    colors = {"✓": "green", "✗": "red"}
    table = Table.grid(padding=(0, 2))
    for line in facts.claims:
        numbers = t("{ours}; in the paper {paper}", ours=line.ours, paper=line.paper)
        text = Text.assemble(line.claim, "\n", (numbers, "dim"))
        table.add_row(Text(line.mark, colors.get(line.mark, "yellow")), text)
    return table


def _findings(facts: Facts) -> Table:
    marks = {"warning": Text("!", "bold yellow"), "note": Text("·"), "fine": Text("✓", "green")}
    table = Table.grid(padding=(0, 2))
    for finding in facts.findings:
        text = Text.assemble(
            (f"{finding.title} ", "bold"), (f"{finding.stage}\n", "dim"), finding.observation
        )
        if finding.level == "warning":
            text.append(f" {finding.cause}\n{finding.action}")
        table.add_row(marks[finding.level], text)
    return table
