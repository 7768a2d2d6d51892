"""report.md of an evaluation: scores beside the published ones, lengths, budgets, hard problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from r1kit.console.formatting import percent
from r1kit.console.markdown_text import escape, fenced, table
from r1kit.errors import failed_import
from r1kit.evals.completion_log import LogKey
from r1kit.evals.evaluate import MeasuredBenchmark
from r1kit.evals.published import published
from r1kit.evals.result import EvalRecord, protocol_line
from r1kit.evals.view import HEAD, notes_of, row_of
from r1kit.files.atomic import replace_file
from r1kit.types import Problem

N_HARDEST = 3
"""number of problems shown per benchmark, those with the lowest share of right completions"""
MAX_SHOWN_CHARS = 2400
"""maximum length of a completion that is shown; the middle of a longer one is left out"""
BAR_CHARS = 40
REPORT, PICTURE = "report.md", "report.png"


def write_report(
    out: Path, result: EvalRecord, measurements: Sequence[MeasuredBenchmark]
) -> list[Path]:
    """Write the report and, if matplotlib is installed, its picture; return their paths."""
    picture = _write_picture(out / PICTURE, result)
    by_name = {measurement.name: measurement for measurement in measurements}
    parts = [f"# {escape(str(result['model']['model']))}", *_scores(result)]
    if picture:
        parts += ["## Thinking budgets and lengths", f"![budgets and lengths]({PICTURE})"]
    for name, record in result["benchmarks"].items():
        parts += [f"## {escape(record['title'])}", *_benchmark(name, record, by_name[name])]
    parts += ["## Make it again", fenced(" ".join(result["session"]["command"]))]
    replace_file(out / REPORT, "\n\n".join(parts) + "\n")
    return [out / REPORT, *([out / PICTURE] if picture else [])]


def _scores(result: EvalRecord) -> list[str]:
    rows = [row_of(name, record) for name, record in result["benchmarks"].items()]
    parts = [table(HEAD, rows)]
    parts.append(
        "pass@1 is the mean over the k completions of every problem, with the standard error "
        "clustered by problem. Truncated completions are also right, wrong or without answer; "
        "undecided and failed ones count in no score."
    )
    for name, record in result["benchmarks"].items():
        parts.append(f"**{escape(name)}**: {escape(protocol_line(record))}")
        parts += [f"- {escape(note)}" for note in notes_of(name, record)]
    parts += [
        f"**{escape(n)}** is not measured. {escape(why)}" for n, why in result["missing"].items()
    ]
    return parts


def _benchmark(name: str, record: EvalRecord, measured: MeasuredBenchmark) -> list[str]:
    spec, parts = measured.eval_set.spec, []
    if spec.note:
        parts.append(escape(spec.note))
    if scores := record["scores"]:
        rows = [(key, percent(x["value"], x["stderr"])) for key, x in scores.items()]
        if record["resampling_stderr"] is not None:
            error = 100 * record["resampling_stderr"]
            rows.append(("error of pass@1 over seeds, same problems", f"± {error:.1f} %"))
        if (language := record["facts"].get("language_consistency")) is not None:
            rows.append(("words in the question's language", percent(*language.values())))
        parts.append(table(("score", ""), rows))
    if others := published(name):
        lines = [(s.model, f"{s.value:g}", s.source) for s in others]
        parts += ["Published:", table(("model", "score", "source"), lines)]
    if subjects := record["by_subject"]:
        lines = [
            (subject, percent(x["pass@1"], x["stderr"]), str(x["n_problems"]))
            for subject, x in subjects.items()
        ]
        parts.append(table(("subject", "pass@1", "problems"), lines))
    if lengths := record["lengths"]:
        parts += [
            "Lengths of completions, in tokens (█ right, ░ wrong):",
            fenced(histogram(lengths)),
        ]
    parts += ["A prompt:", fenced(_hidden(spec.is_confidential, record["prompt_example"]))]
    return [*parts, *_hardest(measured, spec.is_confidential)]


def histogram(lengths: Sequence[Sequence[int]]) -> str:
    """Draw bins of lengths as bars of characters, right completions first."""
    most = max(right + wrong for _, right, wrong in lengths)
    lines = []
    for end, right, wrong in lengths:
        whole = -(-BAR_CHARS * (right + wrong) // most)
        solid = round(whole * right / (right + wrong))
        lines.append(
            f"{f'≤ {end:,}':>9} {'█' * solid}{'░' * (whole - solid)} {right}/{right + wrong}"
        )
    return "\n".join(lines)


def _hardest(measured: MeasuredBenchmark, is_confidential: bool) -> list[str]:
    """Show the problems with the lowest rate, each with one wrong completion."""
    graded = {problem.id: problem for problem in measured.graded()}
    rates = {p.id: rate for p in measured.problems if (rate := graded[p.id].rate) is not None}
    keys = {problem.id: _wrong_completion(measured, problem) for problem in measured.problems}
    wrong = [problem for problem in measured.problems if keys[problem.id] is not None]
    wrong.sort(key=lambda problem: (rates[problem.id], -_tokens(measured, problem)))
    parts = []
    for problem in wrong[:N_HARDEST]:
        rate, key = rates[problem.id], keys[problem.id]
        assert key is not None
        parts += [
            f"### {escape(problem.id)}: right {percent(rate)}",
            fenced(_hidden(is_confidential, problem.meta["question"])),
            f"Expected: {_hidden(is_confidential, escape(problem.answer[:200]))}. A completion "
            f"({escape(measured.verdict(key)['why'])}):",
            fenced(_hidden(is_confidential, cut(measured.log.completions[key]["text"]))),
        ]
    return ["The hardest problems, with what the model wrote:", *parts] if parts else []


def cut(text: str) -> str:
    """Leave out the middle of a long text."""
    if len(text) <= MAX_SHOWN_CHARS:
        return text
    half = MAX_SHOWN_CHARS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters ...]\n{text[-half:]}"


def _tokens(measured: MeasuredBenchmark, problem: Problem) -> int:
    record = measured.log.completions.get((problem.id, 0), {})
    return record.get("n_tokens") or 0


def _wrong_completion(measured: MeasuredBenchmark, problem: Problem) -> LogKey | None:
    keys = ((problem.id, sample) for sample in range(measured.k))
    verdicts = measured.verdicts.verdicts
    wrong = (k for k in keys if k in verdicts and measured.verdict(k)["correct"] is False)
    return next(wrong, None)


def _hidden(is_confidential: bool, text: str) -> str:
    return "(left out: its authors ask not to publish it)" if is_confidential else text


def _write_picture(path: Path, result: EvalRecord) -> bool:
    try:
        from r1kit.evals import plots
    except ModuleNotFoundError as error:
        if failed_import(error) is None:
            raise
        return False
    return plots.save(path, result)
