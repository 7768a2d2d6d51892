"""Grade the gold answers of public sets against themselves and against the next row's answer.

    python scripts/gold_answers.py [FILE.jsonl ...]

A row of a file has an "answer". Without files: GSM8K, MATH-500 and a sample of MMLU, if they are in
../shared/data. A gold must be right for itself, in a box, and as a closing marker; the next row's
answer must be wrong unless both are written the same. Prints a Markdown table.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path

from r1kit.types import Verdict
from r1kit.verify.choice import check_choice
from r1kit.verify.math import Pool, check_math
from r1kit.verify.math.tokens import clean

DATA = Path(__file__).parents[2] / "shared" / "data"
FILES = ("gsm8k_test", "gsm8k_train", "math500_test", "mmlu_sample_12x40")
FORMS = ("\\boxed{{{}}}", "The answer is ${}$.")


def main() -> None:
    files = [Path(name) for name in sys.argv[1:]] or [DATA / f"{n}.jsonl.gz" for n in FILES]
    print("| set | golds | right for themselves | undecided | next answer paid | undecided |")
    print("|---|--:|--:|--:|--:|--:|")
    with Pool() as pool:
        for file in files:
            if file.exists():
                print(row(file.name.partition(".")[0], golds(file), pool), flush=True)


def golds(file: Path) -> list[str]:
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    rows = [json.loads(line) for line in content.splitlines()]
    if "choices" in rows[0]:
        letters = "ABCD"
        return [letters[r["answer"]] if isinstance(r["answer"], int) else r["answer"] for r in rows]
    return [str(row["answer"]).rpartition("####")[2].strip() for row in rows]


def row(name: str, answers: list[str], pool: Pool) -> str:
    """Return the table's row of a set."""
    is_choice = all(answer in "ABCD" for answer in answers)

    def grade(text: str, gold: str) -> Verdict:
        return check_choice(text, gold) if is_choice else check_math(text, gold, pool)

    own: Counter[bool | None] = Counter()
    other: Counter[bool | None] = Counter()
    for gold, following in zip(answers, [*answers[1:], answers[0]], strict=True):
        verdicts = [grade(form.format(gold.strip("$")), gold).correct for form in FORMS]
        own[False if False in verdicts else None if None in verdicts else True] += 1
        if clean(gold) != clean(following):
            other[grade(FORMS[0].format(following), gold).correct] += 1
    n = len(answers)
    cells = [n, f"{own[True]} ({own[True] / n:.1%})", own[None], other[True], other[None]]
    return f"| {name} | {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
