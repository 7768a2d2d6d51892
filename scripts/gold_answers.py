"""Grade the gold answers of public sets against themselves and against the next row's answer.

    python scripts/gold_answers.py [--list] [FILE ...]

A file has one JSON object per line, with a column of COLUMNS. Without files: GSM8K, MATH-500 and a
sample of MMLU, if they are in ../shared/data. A gold must be right for itself in each form in which
answers are stated (FORMS); the next row's answer, in a box, must be wrong unless both are written
the same. Prints a Markdown table; `--list` also prints each gold that is not right for itself, and
each pair of neighbours that is.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from pathlib import Path

from r1kit.types import Json, Verdict
from r1kit.verify.choice import check_choice
from r1kit.verify.math import Pool, check_math
from r1kit.verify.math.tokens import clean
from r1kit.verify.statements.boxes import last_boxed
from r1kit.verify.statements.letters import LETTERS

DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = ("gsm8k_test", "gsm8k_train", "math500_test", "mmlu_sample_12x40")
COLUMNS = ("answer", "final_answer", "target", "Answer", "label", "correct", "solution")
"""names of the column with the gold answer, the first that a row has; a solution has it in a box"""
FORMS = {
    "box": "So we get $\\boxed{{{bare}}}$.",
    "sentence": "The answer is {formula}.",
    "marker": "We are done.\n\n**Final Answer:** {formula}",
    "GSM8K": "We are done.\n#### {formula}",
    "tag": "<answer> {formula} </answer>",
    "Chinese": "综上所述，答案是{formula}。",
    "Korean": "따라서 정답은 {formula}입니다.",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("files", nargs="*", type=Path)
    arguments.add_argument("--list", action="store_true", help="print what is not as it should be")
    options = arguments.parse_args()
    print(
        "| set | golds | right in all forms | refused | undecided | next answer paid | undecided |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    with Pool() as pool:
        for file in options.files or [DATA / f"{name}.jsonl.gz" for name in FILES]:
            if file.exists():
                exceptions: list[str] = []
                print(row(file.name.partition(".")[0], golds(file), pool, exceptions), flush=True)
                print("".join(exceptions) if options.list else "", end="", flush=True)


def golds(file: Path) -> list[str]:
    """Return the gold answers of a file; rows without one are left out."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    answers = [gold(json.loads(line)) for line in content.splitlines() if line.strip()]
    return [answer for answer in answers if answer]


def gold(row: Json) -> str:
    column = next(name for name in COLUMNS if row.get(name) is not None)
    answer = row[column]
    if column == "solution":
        return last_boxed(answer) or ""
    if "choices" in row and isinstance(answer, int):
        return LETTERS[answer]
    if isinstance(answer, list):
        return ", ".join(map(str, answer))
    return str(answer).rpartition("####")[2].strip()


def stated(answer: str) -> dict[str, str]:
    """Return an answer in each form: in dollars, unless it has formulas among its words."""
    is_formula = answer.count("$") == 2 and answer[0] == answer[-1] == "$"
    bare = answer.strip("$") if is_formula else answer
    formula = answer if "$" in answer or answer in LETTERS else f"${answer}$"
    return {name: form.format(bare=bare, formula=formula) for name, form in FORMS.items()}


def row(name: str, answers: list[str], pool: Pool, exceptions: list[str]) -> str:
    """Return the table's row of a set; add what is not as it should be to `exceptions`."""
    is_choice = all(answer in LETTERS for answer in answers)

    def grade(text: str, gold: str) -> Verdict:
        if is_choice:
            return check_choice(text, gold, n_options=len(LETTERS))
        return check_math(text, gold, pool)

    own: Counter[bool | None] = Counter()
    other: Counter[bool | None] = Counter()
    for answer, following in zip(answers, [*answers[1:], *answers[:1]], strict=True):
        verdicts = {form: grade(text, answer) for form, text in stated(answer).items()}
        correct = [verdict.correct for verdict in verdicts.values()]
        own[False if False in correct else None if None in correct else True] += 1
        exceptions += [
            f"    {verdict.outcome} ({form}): {answer!r} [{verdict.extracted!r}: {verdict.why}]\n"
            for form, verdict in verdicts.items()
            if verdict.correct is not True
        ]
        if clean(answer) != clean(following):
            neighbour = grade(stated(following)["box"], answer)
            other[neighbour.correct] += 1
            if neighbour.correct is not False:
                exceptions.append(f"    {neighbour.outcome} (next): {answer!r} {following!r}\n")
    n = len(answers)
    share = f"{own[True]} ({own[True] / max(1, n):.1%})"
    cells = [n, share, own[False], own[None], other[True], other[None]]
    return f"| {name} | {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
