"""report.md: the content of the report for a terminal, a pull request or a repository.

Model output is put in fences longer than any run of backticks in it; other external text is
escaped, so that none of it is read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.console.markdown_text import escape, fenced, table
from r1kit.report.facts import ClaimLine, Comparison, Facts, ShownCompletion
from r1kit.report.figures import Picture
from r1kit.report.translate import ENGLISH, Translator

CLAIMS_NOTE = (
    "✓ holds, ✗ does not, ? undecided: the number is within two standard errors of its threshold."
)
MAX_COMPARISONS = 6
"""maximum number of comparisons shown here; report.html has all"""


def render(facts: Facts, pictures: Sequence[Picture], curves: str | None) -> str:
    """Render the whole text; it links the figures <key>.png and the file `curves` next to it."""
    t = Translator(facts.language)
    parts = [f"# {escape(facts.name)}", f"**{facts.promise}**"]
    for item in facts.tables:
        parts += [f"## {item.title}", table(item.head, item.rows)]
        parts += [item.note] if item.note else []
    if facts.claims:
        parts += [f"## {t('What the paper claims, and this run')}", claims(facts.claims, t)]
    for picture in pictures:
        image = f"![{picture.title}]({picture.key}.png)"
        parts += [f"## {picture.title}", image, picture.caption]
    if curves is not None:
        parts += [f"## {t('Curves')}", f"![{t('curves of the run')}]({curves})"]
    if facts.findings:
        parts += [f"## {t('Diagnosis')}", _findings(facts)]
    if facts.prompts:
        parts.append(f"## {t('What the model reads')}")
        parts += [f"{escape(names)}:\n\n{fenced(prompt)}" for names, prompt in facts.prompts]
    if facts.comparisons:
        parts.append(f"## {t('The same question, stage by stage')}")
        parts += [_comparison(item, t) for item in facts.comparisons[:MAX_COMPARISONS]]
    parts += [f"## {t('What it cost')}", table(("", ""), facts.costs)]
    parts += [f"## {t('Where it comes from')}", table(("", ""), facts.environment)]
    parts += [f"## {t('Make it again')}", fenced(facts.command)]
    return "\n\n".join(parts) + "\n"


def claims(lines: Sequence[ClaimLine], t: Translator = ENGLISH) -> str:
    """Return the claims as a table, with the rule that decides each of them."""
    rows = [(line.mark, line.claim, line.ours, line.rule, line.paper) for line in lines]
    head = ("", "claim", "here", "what is counted, and when it holds", "in the paper")
    return table(tuple(map(t, head)), rows) + f"\n\n{t(CLAIMS_NOTE)}"


def _findings(facts: Facts) -> str:
    marks = {"warning": "⚠", "note": "·", "fine": "✓"}
    return "\n".join(
        " ".join(
            filter(
                None,
                (
                    f"- {marks[finding.level]} **{finding.title}** ({escape(finding.stage)}):",
                    escape(finding.observation),
                    escape(finding.cause),
                    escape(finding.action),
                ),
            )
        )
        for finding in facts.findings
    )


def _comparison(item: Comparison, t: Translator) -> str:
    parts = [f"### {escape(item.question)}", t("Expected: {gold}", gold=escape(item.gold))]
    for completion in item.completions:
        parts += [_verdict(completion, t), fenced(completion.text)]
    return "\n\n".join(parts)


def _verdict(completion: ShownCompletion, t: Translator) -> str:
    marks = {True: "✓ right", False: "✗ wrong", None: "? undecided"}
    n_tokens = t("{n} tokens", n=completion.n_tokens)
    return f"**{escape(completion.stage)}** {t(marks[completion.correct])}, {n_tokens}"
