"""The command `r1`: run, show, chat, serve, sample, verify answers, look at the machine.

Every error a user can cause or mend leaves here as one sentence and an exit code; torch is imported
only by the commands that need it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import r1kit
from r1kit.errors import ConfigError, R1Error

INTERRUPTED = 130
UNEXPECTED = 70

app = typer.Typer(
    name="r1",
    help="Turn a base language model into a reasoning model by the DeepSeek-R1 recipe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

RUN_EXAMPLES = """
Examples:

  r1 run recipes/tiny.toml

  r1 run recipes/tiny.toml --set seed=1 --out runs/tiny-seed1

  r1 run recipes/tiny.toml --only base

  r1 run recipes/tiny.toml --set zero.n_steps=50 --set zero.loss=dapo --track tensorboard

An existing run goes on where it stopped: give the same command again.
"""
SHOW_EXAMPLES = "Example:\n\n  r1 show runs/tiny"
CHAT_EXAMPLES = """
Examples:

  r1 chat runs/tiny

  r1 chat runs/tiny/checkpoints/base-000400 --temperature 1

  echo "7x + 3 = 38, x = ?" | r1 chat runs/tiny
"""
SERVE_EXAMPLES = """
Examples:

  r1 serve runs/tiny

  r1 serve runs/tiny runs/tiny/checkpoints/base-000400 --port 8001

  R1_API_KEY=... r1 serve runs/tiny --host 0.0.0.0
"""
SAMPLE_EXAMPLES = """
Examples:

  r1 sample runs/tiny --problems recipes/tiny.toml --count 200 --out data.jsonl

  r1 sample runs/tiny --problems questions.jsonl --n 8 --out data.jsonl --benchmark gsm8k=test.jsonl

  R1_TEACHER_KEY=... r1 sample https://api.deepseek.com/v1 --model deepseek-reasoner \\
    --problems questions.jsonl --max-tokens 32000 --out data.jsonl

A question: {"problem": "7x + 3 = 38, x = ?", "answer": "5"}

What was sampled is kept in data.jsonl.rollouts: the same command goes on where it stopped.
"""
VERIFY_EXAMPLES = """
Examples:

  r1 verify math --jsonl answers.jsonl

  r1 verify choice --jsonl answers.jsonl --out verdicts.jsonl

  r1 verify code --jsonl programs.jsonl

A row: {"id": 1, "gold": "\\\\frac{1}{2}", "text": "<think>...</think> \\\\boxed{0.5}"}

For code: {"id": 1, "program": "print(input())", "tests": [{"stdin": "7", "stdout": "7"}]}
"""
DOCTOR_EXAMPLES = """
Examples:

  r1 doctor

  r1 doctor --attack
"""


def main() -> None:
    """Entry point of `r1`."""
    # Bars of the libraries would tear the live view, also those of the worker processes.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    app()


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"r1kit {r1kit.__version__}")
        raise typer.Exit


@app.command(epilog=RUN_EXAMPLES)
def run(
    recipe: Annotated[Path, typer.Argument(help="A recipe, for example recipes/tiny.toml.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; by default runs/<recipe name>.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Run this stage and no other.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe."),
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(help="Send the metrics to trackio, tensorboard or wandb as well."),
    ] = None,
) -> None:
    """Run a recipe, or resume its run; ends with a report."""
    from r1kit import config, report
    from r1kit.live import Observer, observer
    from r1kit.track import Tracked, open_sink

    console = Console()
    with _sentences(console):
        loaded = config.load(recipe, set_)
        folder = out or Path("runs") / loaded.name
        sink = None if track is None else open_sink(track, folder, loaded.name)
        with _sentences(console, folder), ExitStack() as stack:
            from r1kit.stages import pipeline

            view: Observer = stack.enter_context(observer(console, loaded.name))
            if sink is not None:
                view = stack.enter_context(Tracked(view, folder, sink))
            pipeline.run(loaded, folder, only, view)
        with _sentences(console, folder):
            report.show(folder, console)


@app.command(epilog=SHOW_EXAMPLES)
def show(run: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Show what a run reached, and write its report.md and report.html again."""
    from r1kit import report

    console = Console()
    with _sentences(console):
        report.show(run, console)


@app.command(epilog=CHAT_EXAMPLES)
def chat(
    model: Annotated[Path, typer.Argument(help="A checkpoint, or the folder of a run.")],
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.01, max=1)] = 0.95,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer, thinking included.")
    ] = 512,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Talk to a model; its thinking is shown apart from its answer."""
    from r1kit.types import Sampling

    console = Console()
    with _sentences(console):
        from r1kit import chat as terminal

        terminal.run(model, Sampling(max_tokens, temperature, top_p), seed, console)


@app.command(epilog=SERVE_EXAMPLES)
def serve(
    models: Annotated[list[Path], typer.Argument(help="Checkpoints, or folders of runs.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    api_key: Annotated[
        list[str] | None,
        typer.Option(envvar="R1_API_KEY", help="Key that clients must send; may be repeated."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name clients may call this machine by.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Web page that may ask: https://example.org.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let other machines ask without a key.")
    ] = False,
    max_rows: Annotated[int, typer.Option(min=1, help="Completions sampled at once.")] = 32,
    max_waiting: Annotated[int, typer.Option(min=8, help="Completions that may wait.")] = 256,
    queue_timeout: Annotated[float, typer.Option(min=1, help="Seconds to a first token.")] = 600,
    total_timeout: Annotated[float, typer.Option(min=1, help="Seconds to a last token.")] = 1800,
) -> None:
    """Serve models to OpenAI and DeepSeek clients, by default to this machine only."""
    console = Console(stderr=True)
    with _sentences(console):
        from r1kit.chat import find_model
        from r1kit.config import ComputeConfig
        from r1kit.model.parallel import device_kind
        from r1kit.serve import server
        from r1kit.serve.limits import Limits

        if len({model.resolve().name for model in models}) < len(models):
            raise ConfigError("Two models would have one name; rename a folder, or serve one.")
        server.run(
            {model.resolve().name: find_model(model) for model in models},
            device_kind(ComputeConfig()),
            Limits(max_rows, max_waiting, queue_timeout, total_timeout),
            host=host,
            port=port,
            keys=api_key or [],
            hosts=allow_host or [],
            origins=allow_origin or [],
            insecure=insecure,
        )


@app.command(epilog=SAMPLE_EXAMPLES)
def sample(
    model_or_url: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|URL",
            help="A checkpoint, the folder of a run, or an OpenAI-compatible server.",
        ),
    ],
    problems: Annotated[Path, typer.Option(help="A recipe (.toml), or questions (.jsonl).")],
    out: Annotated[Path, typer.Option(help="File of the conversations (.jsonl).")],
    n: Annotated[int, typer.Option(min=1, help="Completions a problem.")] = 4,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Problems at most; by default all of a file, 1000 of a recipe."),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1)] = 1.0,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Longest completion, thinking included.")
    ] = 1024,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    split: Annotated[str, typer.Option(help="Of a recipe: train or held_out.")] = "train",
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE.jsonl", help="Leave out what stands in it; may be repeated."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Its name on the server; by default the only one there.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="R1_TEACHER_KEY", help="Key of the server.")
    ] = None,
    max_rows: Annotated[
        int, typer.Option(min=1, help="Completions a model here samples at once.")
    ] = 64,
) -> None:
    """Draw completions, verify them, and keep what is worth learning from."""
    from r1kit.types import Sampling

    console = Console()
    with _sentences(console, kept="What was sampled is kept; the same command goes on."):
        from r1kit import sample as sampling

        if split not in ("train", "held_out"):
            raise ConfigError(f"There is no split {split!r}; there are train and held_out.")
        wish = sampling.Wish(
            source=problems,
            out=out,
            n=n,
            sampling=Sampling(max_tokens, temperature, top_p),
            seed=seed,
            count=count,
            split="train" if split == "train" else "held_out",
            benchmarks=benchmark or [],
            max_rows=max_rows,
        )
        sampling.run(model_or_url, wish, model, api_key, console)


@app.command(epilog=VERIFY_EXAMPLES)
def verify(
    kind: Annotated[str, typer.Argument(help="math, choice or code.")],
    jsonl: Annotated[Path, typer.Option(help="One JSON object a line; below is what it holds.")],
    out: Annotated[
        Path | None, typer.Option(help="File of the verdicts; by default they are printed.")
    ] = None,
) -> None:
    """Say of each answer in a file whether it is right."""
    from r1kit import grade

    console = Console(stderr=True)
    with _sentences(console), ExitStack() as stack:
        try:
            file = (
                sys.stdout if out is None else stack.enter_context(out.open("w", encoding="utf-8"))
            )
        except OSError as error:
            raise ConfigError(f"{out} cannot be written ({error}).") from None
        grade.run(kind, jsonl, file, console)


@app.command(epilog=DOCTOR_EXAMPLES)
def doctor(
    attack: Annotated[
        bool, typer.Option("--attack", help="Try to break out of the sandbox, in every known way.")
    ] = False,
) -> None:
    """Show what this machine gives: versions, memory, and how well programs can be caged."""
    console = Console()
    with _sentences(console):
        from r1kit import doctor as ward

        if not attack:
            ward.show(console)
        elif ward.attack(console):
            raise typer.Exit(1)


@contextmanager
def _sentences(
    console: Console, folder: Path | None = None, kept: str | None = None
) -> Iterator[None]:
    """What goes wrong below becomes one sentence on stderr and an exit code, never a traceback.

    `kept` says what the user still has then, where that is no run folder.
    """
    errors = Console(stderr=True, soft_wrap=True)
    try:
        yield
    except R1Error as error:
        errors.print(Text.assemble(("error: ", "bold red"), (str(error), "red")))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        errors.print(Text(f"Stopped. {kept or _kept(folder)}"))
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        raise typer.Exit(1) from None
    except Exception as error:
        file = _write_traceback(folder)
        said = str(error).strip().splitlines()
        told = f"{type(error).__name__}{': ' + said[0] if said else ''}"
        errors.print(
            Text.assemble(
                ("error: ", "bold red"),
                (f"something unexpected happened ({told}). ", "red"),
                f"The details are in {file}; please report them. {kept or _kept(folder)}",
            )
        )
        raise typer.Exit(UNEXPECTED) from None


def _kept(folder: Path | None) -> str:
    """What the user still has, and how to go on."""
    from r1kit.evidence import newest_checkpoint, stage_and_step

    newest = newest_checkpoint(folder) if folder is not None else None
    if newest is None:
        return "The same command starts it again."
    stage, step = stage_and_step(newest)
    return f"Everything up to step {step} of {stage} is kept; the same command resumes it."


def _write_traceback(folder: Path | None) -> Path:
    """Into the run folder if there is one, else into a temporary file."""
    text = traceback.format_exc()
    if folder is not None and (folder / "manifest.json").exists():
        try:
            file = folder / "crash.txt"
            file.write_text(text, encoding="utf-8")
            return file
        except OSError as error:
            print(f"({error})", file=sys.stderr)
    with tempfile.NamedTemporaryFile(
        "w", prefix="r1-crash-", suffix=".txt", delete=False, encoding="utf-8"
    ) as temporary:
        temporary.write(text)
    return Path(temporary.name)
