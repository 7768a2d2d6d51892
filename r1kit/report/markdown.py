"""report.md: the same facts for a terminal, a pull request or a repository.

Model text stands in fences longer than any run of backticks it holds; other outside text is
escaped, so that none of it is read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1kit.live import printable
from r1kit.report.facts import Answer, Comparison, Facts

MAX_COMPARISONS = 6
"""shown here; report.html has all"""


def render(facts: Facts, picture: str | None) -> str:
    """The whole text. `picture` is the file name of the curves beside it."""
    parts = [f"# {escape(facts.name)}", f"**{facts.promise}**"]
    if facts.stages:
        parts += ["## Stages", _stages(facts)]
    if facts.claims:
        parts += ["## What the paper saw, and this run", _claims(facts)]
    if picture is not None:
        parts += ["## Curves", f"![curves of the run]({picture})"]
    if facts.findings:
        parts += ["## Diagnosis", _findings(facts)]
    if facts.comparisons:
        parts.append("## The same question, stage by stage")
        parts += [_comparison(item) for item in facts.comparisons[:MAX_COMPARISONS]]
    parts += ["## What it cost", table(("", ""), facts.costs)]
    parts += ["## Where it comes from", table(("", ""), facts.environment)]
    parts += ["## Make it again", fenced(facts.command)]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """One line of text that Markdown and HTML leave alone."""
    return re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", " ".join(printable(text).split()))


def fenced(text: str) -> str:
    """A code block that the text cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{printable(text)}\n{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are escaped."""
    lines = [head, ["---"] * len(head), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _stages(facts: Facts) -> str:
    head = ("stage", "pass@1", "tokens", "reflection words", "own language", "cut off", "time")
    rows = [
        (row.name, row.pass_at_1, row.tokens, row.reflection, row.language, row.cut_off, row.wall)
        for row in facts.stages
    ]
    return table(head, rows) + "\n\nOn held-out problems; ± is one standard error."


def _claims(facts: Facts) -> str:
    rows = [
        ("✓ seen" if claim.is_seen else "✗ not seen", claim.text, claim.numbers)
        for claim in facts.claims
    ]
    return table(("", "claim", "numbers"), rows)


def _findings(facts: Facts) -> str:
    marks = {"warning": "⚠", "note": "·", "fine": "✓"}
    return "\n".join(
        " ".join(
            filter(
                None,
                (
                    f"- {marks[finding.level]} **{finding.title}** ({escape(finding.stage)}):",
                    escape(finding.seen),
                    escape(finding.cause),
                    escape(finding.action),
                ),
            )
        )
        for finding in facts.findings
    )


def _comparison(item: Comparison) -> str:
    parts = [f"### {escape(item.question)}", f"Expected: {escape(item.gold)}"]
    for answer in item.answers:
        parts += [_verdict(answer), fenced(answer.text)]
    return "\n\n".join(parts)


def _verdict(answer: Answer) -> str:
    marks = {True: "✓ right", False: "✗ wrong", None: "? undecided"}
    told = marks[answer.correct]
    return f"**{escape(answer.stage)}** {told}, {answer.n_tokens} tokens"
