"""Commands that sample completions, verify answers and inspect the machine."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from r1kit.cli.data_options import ColumnRoles, HeldOut, VerifierName
from r1kit.cli.root import app
from r1kit.console.error_reporting import sentences
from r1kit.errors import ConfigError

SAMPLE_EXAMPLES = """
Examples:

  r1 sample runs/tiny --problems tiny --count 200 --out data.jsonl

  r1 sample runs/tiny --problems questions.jsonl --n 8 --out data.jsonl --benchmark gsm8k=test.jsonl

  R1_TEACHER_KEY=... r1 sample https://api.deepseek.com/v1 --model deepseek-reasoner \\
    --problems questions.jsonl --max-tokens 32000 --out data.jsonl

A question: {"problem": "7x + 3 = 38, x = ?", "answer": "5"}

What was sampled is kept in data.jsonl.rollouts: the same command continues where it stopped.
"""
VERIFY_EXAMPLES = """
Examples:

  r1 verify math --jsonl answers.jsonl

  r1 verify choice --jsonl answers.jsonl --out verdicts.jsonl

  r1 verify code --jsonl programs.jsonl

  r1 verify --jsonl mixed.jsonl --by fault --policy lenient

A row: {"id": 1, "gold": "\\\\frac{1}{2}", "text": "<think>...</think> \\\\boxed{0.5}"}

For code: {"id": 1, "program": "print(input())", "tests": [{"stdin": "7", "stdout": "7"}]}

Rows of several kinds name theirs: {"id": 1, "kind": "choice", "gold": "B", "text": "Answer: B"}

Rows with "expected" (correct, incorrect) are counted in a table at the end.
"""
DATA_EXAMPLES = """
Examples:

  r1 data questions.jsonl

  r1 data openai/gsm8k:main:train --held-out test --model Qwen/Qwen2.5-0.5B

  r1 data fragen.csv --column problem=frage --column answer=loesung --verifier exact

  r1 data pairs.parquet --as pairs
"""
DOCTOR_EXAMPLES = """
Examples:

  r1 doctor

  r1 doctor --attack
"""


@app.command(epilog=SAMPLE_EXAMPLES)
def sample(
    model_or_url: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|URL",
            help="A checkpoint, the folder of a run, or an OpenAI-compatible server.",
        ),
    ],
    problems: Annotated[Path, typer.Option(help="A recipe, or questions (.jsonl).")],
    out: Annotated[Path, typer.Option(help="File for the conversations (.jsonl).")],
    n: Annotated[int, typer.Option(min=1, help="Completions per problem.")] = 4,
    count: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum number of problems; default: all of a file, 1000 of a recipe."
        ),
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="Sampling temperature; 0 is greedy.")
    ] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1)] = 1.0,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Maximum tokens per completion, thinking included.")
    ] = 1024,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    split: Annotated[str, typer.Option(help="Split of a recipe: train or held_out.")] = "train",
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE.jsonl",
            help="Drop problems that overlap with this benchmark; may be repeated.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model name on the server; default: its only model.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="R1_TEACHER_KEY", help="API key of the server.")
    ] = None,
    max_num_seqs: Annotated[
        int, typer.Option(min=1, help="Completions that a local model samples at once.")
    ] = 64,
) -> None:
    """Sample completions, verify them, and keep the good ones as training data."""
    from r1kit.types import SamplingParams

    console = Console()
    with sentences(console, advice="What was sampled is kept; the same command continues."):
        from r1kit.rollouts import sample as sampling

        if split not in ("train", "held_out"):
            raise ConfigError(f"There is no split {split!r}; choose train or held_out.")
        options = sampling.SampleOptions(
            source=problems,
            out=out,
            n=n,
            sampling=SamplingParams(max_tokens, temperature, top_p),
            seed=seed,
            count=count,
            split="train" if split == "train" else "held_out",
            benchmarks=benchmark or [],
            max_num_seqs=max_num_seqs,
        )
        sampling.run(model_or_url, options, model, api_key, console)


@app.command(epilog=VERIFY_EXAMPLES)
def verify(
    jsonl: Annotated[
        Path, typer.Option(help="One JSON object per line; its fields are listed below.")
    ],
    kind: Annotated[
        str | None,
        typer.Argument(help='math, choice, exact or code; default: "kind" of each row.'),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File for the verdicts; default: standard output.")
    ] = None,
    policy: Annotated[
        str, typer.Option(help="strict, as for rewards, or lenient, as public graders are.")
    ] = "strict",
    by: Annotated[str, typer.Option(help="The field that groups rows in the table.")] = "kind",
) -> None:
    """Verify each answer in a file."""
    from r1kit import verify_file
    from r1kit.verify.statements.policy import find_policy

    console = Console(stderr=True)
    with sentences(console), ExitStack() as stack:
        rules = find_policy(policy)
        try:
            file = (
                sys.stdout if out is None else stack.enter_context(out.open("w", encoding="utf-8"))
            )
        except OSError as error:
            raise ConfigError(
                f"{out} cannot be written ({error.strerror}); name another file."
            ) from None
        verify_file.run(kind, jsonl, file, console, rules, by)


@app.command(epilog=DATA_EXAMPLES)
def data(
    file: Annotated[
        str,
        typer.Argument(
            help="A file (.jsonl, .json, .csv, .tsv, .parquet), or org/name:configuration:split "
            "of the Hugging Face hub."
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option("--as", help="questions, traces, conversations, pairs, labels or prompts."),
    ] = None,
    column: ColumnRoles = None,
    verifier: VerifierName = None,
    held_out: HeldOut = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model whose tokens are counted and prompt is shown."),
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="Number of rows to show.")] = 2,
) -> None:
    """Show what a run would read of a data file."""
    console = Console()
    with sentences(console):
        from r1kit import preview
        from r1kit.tasks.file_task import file_config
        from r1kit.tasks.options import task_config

        task = file_config(task_config(file, column or [], verifier, held_out))
        preview.run(task, kind, model, show, console)


@app.command(epilog=DOCTOR_EXAMPLES)
def doctor(
    attack: Annotated[
        bool, typer.Option("--attack", help="Run the escape suite against the sandbox.")
    ] = False,
) -> None:
    """Show versions, memory and the sandbox level of this machine."""
    console = Console()
    with sentences(console):
        from r1kit import doctor as ward

        if not attack:
            ward.show(console)
        elif ward.attack(console):
            raise typer.Exit(1)
