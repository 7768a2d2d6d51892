"""Commands that measure a model on benchmarks: r1 eval, r1 eval diff, r1 eval grade."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from r1kit.cli.root import app
from r1kit.cli.serving import EngineKey, GPUs, MaxModelLen, VllmOptions
from r1kit.console.error_reporting import sentences

EVAL_EXAMPLES = """
Examples:

  r1 eval runs/tiny --suite world,gsm8k,math500 --data data --limit 50

  r1 eval Qwen/Qwen2.5-0.5B-Instruct --suite r1 --engine vllm --data data

  r1 eval http://localhost:8000/v1 --suite gsm8k --samples 4

  r1 eval deepseek-reasoner --engine https://api.deepseek.com/v1 --suite aime24

  r1 eval m --suite simpleqa --judge https://api.openai.com/v1 --judge-model gpt-4o

  r1 eval diff evals/a evals/b

  r1 eval grade evals/a --policy strict

The same command continues where it stopped, also with a larger --limit or --samples.
"""


DIFF_EXAMPLES = "Example:\n\n  r1 eval diff evals/zero evals/reasoning"
GRADE_EXAMPLES = (
    "Examples:\n\n  r1 eval grade evals/zero --policy strict\n\n"
    "  r1 eval grade evals/zero --grader number"
)


class DefaultCommandGroup(TyperGroup):
    """A group whose first word may be an argument of its default command."""

    default = "model"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front unless another command is named."""
        if not args or args[0] not in self.commands:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command; the default one has no name in messages."""
        name, command, rest = super().resolve_command(ctx, args)
        return ("" if name == self.default else name), command, rest


eval_app = typer.Typer(
    cls=DefaultCommandGroup,
    help="Measure a model on benchmarks; compare results, or grade them again.",
    no_args_is_help=False,
)
app.add_typer(eval_app, name="eval")


SuiteOption = Annotated[
    str,
    typer.Option(
        help="Benchmarks such as gsm8k,math500, or suites: r1, math, code, korean, judged, "
        "long-context, all."
    ),
]
EvalEngine = Annotated[
    str,
    typer.Option(
        metavar="local|vllm|URL[,URL]",
        help="Engine: local, vllm (started here), or running servers that share the work.",
    ),
]
SamplesOption = Annotated[
    int | None,
    typer.Option(min=1, help="k, completions per problem; default: as the protocol says."),
]
ThinkingOption = Annotated[
    bool | None,
    typer.Option("--thinking/--no-thinking", help="Let prompts end in an opened <think>."),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        help="strict (one reading of the answer must be possible, as in training) or lenient (the "
        "last box counts, as in public graders); default: the protocol's, lenient."
    ),
]
JudgeUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="OpenAI-compatible server with the judge of simpleqa, frames, alpacaeval, arenahard.",
    ),
]
JudgeModel = Annotated[
    str | None, typer.Option(help="The judge's name on that server; default: its only model.")
]
JudgeKey = Annotated[
    str | None, typer.Option(envvar="R1_JUDGE_KEY", help="API key of the judge's server.")
]
EvalTimeout = Annotated[
    float, typer.Option(min=1, help="Time limit for one completion of a server (s).")
]


@eval_app.command("model", epilog=EVAL_EXAMPLES, hidden=True)
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|URL",
            help="A run, a checkpoint, a folder, a .gguf file, a hub id, an OpenAI-compatible "
            "server, or the model's name on the server of --engine.",
        ),
    ],
    suite: SuiteOption = "r1",
    engine: EvalEngine = "local",
    samples: SamplesOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of problems per benchmark.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with copies of the benchmarks; default: the hub."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="r1-paper, open-r1, simple-evals or evalplus.")
    ] = "r1-paper",
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Temperature in place of the protocol's.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(min=0.01, max=1, help="Top-p in place of the protocol's.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Maximum tokens in place of the protocol's.")
    ] = None,
    thinking: ThinkingOption = None,
    policy: PolicyOption = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; default: evals/<model>.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Completions in flight, per server.")
    ] = 64,
    engine_key: EngineKey = None,
    timeout: EvalTimeout = 1800.0,
    judge: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key: JudgeKey = None,
    tensor_parallel_size: GPUs = 1,
    max_model_len: MaxModelLen = None,
    vllm_args: VllmOptions = "",
) -> None:
    """Measure a model on benchmarks, with error bars and the protocol of every score."""
    console = Console()
    with sentences(console, advice="What was sampled is kept; the same command continues."):
        from r1kit.engines.vllm.flags import VllmFlags
        from r1kit.evals import run
        from r1kit.evals.evaluate import EvalOptions
        from r1kit.evals.judging import JudgeOptions
        from r1kit.evals.open_model import ModelOptions
        from r1kit.evals.protocols import find_protocol

        chosen = find_protocol(protocol).changed(
            temperature=temperature, top_p=top_p, max_tokens=max_tokens, opens_thinking=thinking,
            policy=policy,
        )  # fmt: skip
        flags = VllmFlags(tensor_parallel_size, max_model_len, others=vllm_args)
        model_options = ModelOptions(model, engine, engine_key, concurrency, timeout, flags)
        judged = None if judge is None else JudgeOptions(judge, judge_model, judge_key)
        options = EvalOptions(chosen, data, samples, limit, seed, judge=judged)
        run.run(model_options, suite, options, out, console)


@eval_app.command(epilog=DIFF_EXAMPLES)
def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of a result.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
) -> None:
    """Show what differs between two results, and whether the scores really differ."""
    console = Console()
    with sentences(console):
        from r1kit.evals import run

        run.diff(first, second, console)


@eval_app.command(epilog=GRADE_EXAMPLES)
def grade(
    result: Annotated[Path, typer.Argument(help="Folder of a result.")],
    grader: Annotated[
        str | None,
        typer.Option(help="math, number, exact, choice, code; default: the benchmark's own."),
    ] = None,
    policy: PolicyOption = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with copies of the benchmarks; default: as before.")
    ] = None,
    judge: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key: JudgeKey = None,
) -> None:
    """Grade the completions of a result again, without sampling anything."""
    console = Console()
    with sentences(console):
        from r1kit.evals import run
        from r1kit.evals.judging import JudgeOptions

        judged = None if judge is None else JudgeOptions(judge, judge_model, judge_key)
        run.grade(result, grader, data, console, policy, judged)
