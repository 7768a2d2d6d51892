"""Compare our verifier of mathematical answers with Math-Verify alone on the same answers.

    python scripts/lab.py [--check]

Prints a table and writes it between the markers of docs/verifiers.md; `--check` only prints. Real
problems are read from ../shared/data if present; a fresh clone has only the committed sets. The
label is true for a text that is its own problem's solution, and false for another problem's answer
unless the two are written the same. Our verifier is timed as a caller sees it, pipes included;
Math-Verify inside its process, without them. Error rates have their 95 % interval (Wilson 1927).
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.verify.math import Pool, check_math
from r1kit.verify.math.tokens import clean
from r1kit.verify.wilson import wilson
from r1kit.verify_file import answer_part

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "verifiers.md"
ALONE = ROOT / "scripts" / "math_verify_alone.py"
BEGIN, END = "<!-- lab: begin -->", "<!-- lab: end -->"
PATIENCE_S = 12.0
"""limit in seconds: Math-Verify's own alarms allow 5 s to parse each text and 5 s to compare"""

_PLAIN = re.compile(r"-?[0-9,]+(?:\.[0-9]+)?|-?\\frac\{[0-9]+\}\{[0-9]+\}")


@dataclass(frozen=True)
class Answer:
    gold: str
    text: str
    label: bool


@dataclass(frozen=True)
class Score:
    """Results of one verifier on one set; verdicts in the order of the answers."""

    verdicts: list[bool | None]
    ms: list[float]


Judge = Callable[[Answer], tuple[bool | None, float]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="print, and write nothing")
    only_print = arguments.parse_args().check
    with Pool() as pool, Pool(budget_s=PATIENCE_S, worker=ALONE) as alone:
        pool.warm_up()
        alone.warm_up()

        def ours(answer: Answer) -> tuple[bool | None, float]:
            start = time.perf_counter()
            verdict = check_math(answer.text, answer.gold, pool).correct
            return verdict, (time.perf_counter() - start) * 1000

        def theirs(answer: Answer) -> tuple[bool | None, float]:
            opinion = alone.ask(answer.gold, answer.text)
            is_timed = opinion.why.replace(".", "").isdigit()
            return opinion.same, float(opinion.why) if is_timed else PATIENCE_S * 1000

        lines = table({name: (rows, ours, theirs) for name, rows in sets().items()})
    text = "\n".join(lines)
    print(text)
    if not only_print:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def sets() -> dict[str, list[Answer]]:
    """Return the sets of answers by name; those of real problems only if the data is present."""
    answers: dict[str, list[Answer]] = {}
    math500 = rows_of("math500_test.jsonl.gz")
    if math500:
        golds = [row["answer"] for row in math500]
        following = [*golds[1:], golds[0]]
        pairs = list(zip(golds, following, strict=True))
        answers["MATH-500, own solution"] = [
            Answer(row["answer"], row["solution"], True) for row in math500
        ]
        answers["MATH-500, next row's answer"] = [other(gold, answer) for gold, answer in pairs]
        answers["plain answers of MATH-500"] = [
            answer
            for gold, after in pairs
            if _PLAIN.fullmatch(gold) and _PLAIN.fullmatch(after)
            for answer in (Answer(gold, boxed(gold), True), other(gold, after))
        ]
    for split in ("test", "train"):
        if rows := rows_of(f"gsm8k_{split}.jsonl.gz"):
            answers[f"GSM8K {split}, own solution"] = [gsm8k(row) for row in rows]
    labelled = read(ROOT / "tests/verify/math/labelled.jsonl")
    answers["odd formats (tests/verify/math/labelled.jsonl)"] = [
        Answer(row["gold"], row["text"], row["label"]) for row in labelled
    ]
    exploits = read(ROOT / "tests/verify/math/exploits.jsonl")
    answers["real answers (tests/verify/cases)"] = real_answers()
    answers["exploits (tests/verify/math/exploits.jsonl)"] = [
        Answer(row["gold"], exploit(row), False) for row in exploits
    ]
    return answers


def real_answers() -> list[Answer]:
    """Return the mathematical answers that public bug reports prompted, and their variants."""
    folder = ROOT / "tests/verify/cases"
    shown = gzip.decompress((folder / "verifier_cases.jsonl.gz").read_bytes()).decode()
    rows = [json.loads(line) for line in shown.splitlines()] + read(folder / "variants.jsonl")
    return [
        Answer(row["gold"], text, row["expected"] == "correct")
        for row in rows
        if row["kind"] == "math" and (text := answer_part(row["text"])) is not None
    ]


def boxed(answer: str) -> str:
    return f"The answer is $\\boxed{{{answer}}}$."


def other(gold: str, answer: str) -> Answer:
    return Answer(gold, boxed(answer), clean(gold) == clean(answer))


def gsm8k(row: dict[str, Any]) -> Answer:
    return Answer(row["answer"].rpartition("####")[2].strip(), row["answer"], True)


def exploit(row: dict[str, Any]) -> str:
    return row.get("text") or "".join(part * n for part, n in row.get("parts", []))


def rows_of(name: str) -> list[dict[str, Any]]:
    if not (DATA / name).exists():
        return []
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(trials: dict[str, tuple[list[Answer], Judge, Judge]]) -> list[str]:
    """Return a Markdown table, two rows per set, and the answers on which the verifiers differ."""
    lines = [
        "| answers | n | verifier | false positives | false negatives | undecided "
        "| median ms | p99 ms | max ms | speed-up |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    notes: list[str] = []
    for name, (answers, ours, theirs) in trials.items():
        mine, yours = score(answers, ours), score(answers, theirs)
        faster = statistics.median(yours.ms) / statistics.median(mine.ms)
        lines.append(row(name, str(len(answers)), "r1kit", answers, mine, f"{faster:.0f}x"))
        lines.append(row("", "", "Math-Verify alone", answers, yours, ""))
        notes.append(disagreement(name, answers, mine, yours))
    if not DATA.exists():
        notes.append("Real problems were not at hand; these are the committed sets only.")
    return [*lines, "", *notes]


def score(answers: Iterable[Answer], judge: Judge) -> Score:
    results = [judge(answer) for answer in answers]
    return Score([verdict for verdict, _ in results], [ms for _, ms in results])


def row(name: str, n: str, verifier: str, answers: list[Answer], score: Score, faster: str) -> str:
    pairs = list(zip(answers, score.verdicts, strict=True))
    ms = sorted(score.ms)
    cells = [
        share(sum(v is True for a, v in pairs if not a.label), sum(not a.label for a in answers)),
        share(sum(v is False for a, v in pairs if a.label), sum(a.label for a in answers)),
        str(sum(v is None for v in score.verdicts)),
        *(f"{value:.3g}" for value in (statistics.median(ms), ms[int(len(ms) * 0.99)], ms[-1])),
    ]
    return "| " + " | ".join([name, n, verifier, *cells, faster]) + " |"


def share(count: int, of: int) -> str:
    """Return a share with its count and interval: `0.30% (4; 0.12-0.78%)`."""
    if not of:
        return "-"
    low, high = wilson(count, of)
    return f"{count / of:.2%} ({count}; {100 * low:.2f}-{high:.2%})"


def disagreement(name: str, answers: list[Answer], mine: Score, yours: Score) -> str:
    """Count the answers on which the verifiers differ, and list our errors against the labels."""
    trios = list(zip(answers, mine.verdicts, yours.verdicts, strict=True))
    better = sum(m is a.label and y is not a.label for a, m, y in trios)
    undecided = sum(m is None and y is a.label for a, m, y in trios)
    worse = sum(m is (not a.label) and y is a.label for a, m, y in trios)
    against = [f"`{a.text[-40:]}` for `{a.gold}`" for a, m, _ in trios if m is (not a.label)]
    line = f"- {name}: {better} better than Math-Verify alone, {undecided} undecided, {worse} worse"
    return f"{line}; ours against the label: {', '.join(against)}." if against else f"{line}."


if __name__ == "__main__":
    main()
