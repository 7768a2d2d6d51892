"""`r1 sample`: sample completions from a local or remote model and keep those worth training on.

The algorithm is in `rejection.py`; this module sets up model, problems and progress display.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from r1kit import config
from r1kit.console.formatting import printable
from r1kit.curate import BenchmarkQuestions, Provenance
from r1kit.engines.openai.endpoint import CompletionsOrError, Endpoint, EndpointRequest
from r1kit.errors import ConfigError, EngineError, RunError
from r1kit.files.json_lines import read_lines
from r1kit.files.rows import is_file
from r1kit.http.client import RefusedError, is_url
from r1kit.processes.loading import gc_paused_imports
from r1kit.renderers import renderer_of
from r1kit.renderers.base import Renderer
from r1kit.renderers.thinking import parse
from r1kit.rollouts import rejection
from r1kit.rollouts.collect import (
    AttemptSampler,
    GradingPool,
    RolloutBatch,
    collect_rollouts,
    request_seed,
)
from r1kit.rollouts.rollouts_file import rollouts_path
from r1kit.rollouts.rubric import Rubric, VerifyFunction
from r1kit.tasks import mix, questions
from r1kit.types import Attempt, ParsedCompletion, Problem, SamplingParams, Split

RECIPE_PROBLEMS = 1000
"""number of problems of a recipe without --count: its tasks are endless"""
MAX_DUPLICATES = 2_000
"""number of consecutive duplicates after which a recipe is taken to have no more problems"""
REMOTE_CHUNK = 32
"""number of problems between two flushes to disk"""
WEIGHTS = {"accuracy": 1.0, "format": 1.0}
"""weights of the parts of the reward recorded with each rollout; curation uses the verdicts"""


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """The command-line options of `r1 sample`."""

    source: Path
    """a recipe, its name, or a file of questions"""
    out: Path
    n: int
    sampling: SamplingParams
    seed: int
    count: int | None
    """maximum number of problems"""
    split: Split
    benchmarks: Sequence[str]
    """NAME=FILE.jsonl"""
    max_num_seqs: int
    """maximum number of completions that a local model samples at once"""


@dataclass(frozen=True, slots=True)
class SamplingRun:
    """The sample function of a local or remote model, and its settings."""

    name: str
    sample: Callable[[rejection.IndexedProblems], RolloutBatch]
    chunk: int
    is_repeatable: bool
    parse: Callable[[str], ParsedCompletion] = parse


def run(
    model_or_url: str,
    options: SampleOptions,
    model: str | None,
    api_key: str | None,
    console: Console,
) -> None:
    """Sample, curate, and print how many rollouts each filter removed; progress goes to stderr.

    Raises an R1Error for every error that a user can fix, before sampling if possible.
    """
    if options.out.resolve() == options.source.resolve():
        raise ConfigError(f"--out would overwrite the problems in {options.source}; name another.")
    _refuse_foreign(options.out)
    problems, verify = problems_of(options)
    benchmarks = [_benchmark(text) for text in options.benchmarks]
    errors = Console(stderr=True)

    def note(text: str) -> None:
        errors.print(Text(printable(text), "yellow"))

    def sample(part: rejection.IndexedProblems) -> RolloutBatch:
        batch = sampler.sample(part)
        if batch.failure:
            note(f"{batch.failure} {batch.n_failed} such completions count as undecided.")
        return batch

    with ExitStack() as stack:
        if is_url(model_or_url):
            endpoint = stack.enter_context(Endpoint(model_or_url, model, api_key))
            sampler = from_endpoint(endpoint, verify, options, note)
        else:
            opening = from_checkpoint(model_or_url, verify, problems, options, errors)
            sampler = stack.enter_context(opening)
        progress = stack.enter_context(_progress(errors))
        bar = progress.add_task("sample", total=len(problems))
        result = rejection.rejection_sampling(
            problems,
            sample,
            options.out,
            Provenance(sampler.name, options.seed),
            benchmarks=benchmarks,
            n=options.n,
            sampling=options.sampling,
            parse=sampler.parse,
            chunk=sampler.chunk,
            is_repeatable=sampler.is_repeatable,
            on_chunk=lambda at, total: progress.update(bar, completed=at, total=total),
        )
    _print_result(result, console)


def problems_of(options: SampleOptions) -> tuple[list[tuple[int, Problem]], VerifyFunction]:
    """Return the indexed problems and their verifier. Raises TaskError, ConfigError."""
    if is_file(str(options.source)) and options.source.suffix != ".toml":
        problems, verifier = questions.read_problems(options.source)
        return list(enumerate(problems[: options.count])), verifier.verify
    names = [recipe.name for recipe in config.shipped_recipes()]
    if options.source.suffix != ".toml" and options.source.as_posix() not in names:
        raise ConfigError(
            f"{options.source}: problems come from a recipe (a .toml file, or a name that "
            "`r1 recipes` lists) or a file of questions (.jsonl, .json, .csv, .parquet)."
        )
    tasks = mix.load_tasks(config.load(options.source), options.split)
    return _distinct(tasks, options.count or RECIPE_PROBLEMS), tasks.verify


def _distinct(tasks: mix.TaskMixture, count: int) -> list[tuple[int, Problem]]:
    """Return the first problems with distinct ids; fewer if the tasks seem to have no more."""
    distinct: dict[str, tuple[int, Problem]] = {}
    index = newest = 0
    while len(distinct) < count and index - newest < MAX_DUPLICATES:
        problem = tasks.problem(index)
        if problem.id not in distinct:
            distinct[problem.id], newest = (index, problem), index
        index += 1
    return list(distinct.values())


@contextmanager
def from_checkpoint(
    name: str,
    verify: VerifyFunction,
    problems: Sequence[tuple[int, Problem]],
    options: SampleOptions,
    console: Console,
) -> Iterator[SamplingRun]:
    """Open a local model. Raises CheckpointError if it does not exist or cannot be opened."""
    from r1kit.model.find import find_model

    location = find_model(name)
    with console.status(f"Opening {location} …"):
        with gc_paused_imports():
            from r1kit.engines.open import open_sampler
            from r1kit.model.devices import resolve_device
            from r1kit.model.policy import Policy
        policy = Policy.load(location, resolve_device())
    renderer, rubric = renderer_of(policy.tokenizer), Rubric(verify, WEIGHTS)
    sampling = _fitting(renderer, problems, options.sampling, policy.max_positions)

    def sample(part: rejection.IndexedProblems) -> RolloutBatch:
        return collect_rollouts(attempts, rubric, part)

    # A chunk is twice the batch size: slots stay busy, and a kill loses little.
    chunk = max(8, 2 * options.max_num_seqs // options.n)
    with open_sampler(policy, config.SamplerConfig(max_num_seqs=options.max_num_seqs)) as (
        sampler,
        _,
    ):
        attempts = AttemptSampler(sampler, renderer, options.n, sampling, options.seed)
        yield SamplingRun(str(location), sample, chunk, True, renderer.parse)


def from_endpoint(
    endpoint: Endpoint, verify: VerifyFunction, options: SampleOptions, note: Callable[[str], None]
) -> SamplingRun:
    """Use a model on a server. Raises EngineError if the server does not name its model."""
    name = f"{endpoint.address} {endpoint.model}"
    rubric = Rubric(verify, WEIGHTS)
    rollouts = rollouts_path(options.out)
    has_answered = rollouts.exists() and len(read_lines(rollouts)) > 1

    def sample(part: rejection.IndexedProblems) -> RolloutBatch:
        nonlocal has_answered
        # Servers that return one completion per request use seed + i, so seeds are n apart.
        requests = [
            EndpointRequest(
                problem.messages,
                options.sampling,
                request_seed(options.seed, index * options.n),
                options.n,
            )
            for index, problem in part
        ]
        with GradingPool(rubric, part) as scoring:

            def grade(index: int, answer: CompletionsOrError) -> None:
                if not isinstance(answer, EngineError):  # the server has rendered the prompt
                    problem = part[index][1]
                    scoring.add(index, [Attempt(problem, [], c, parse(c.text)) for c in answer])

            answers = endpoint.complete_many(requests, grade)
            batch = scoring.wait()
        failures = [answer for answer in answers if isinstance(answer, EngineError)]
        has_answered |= len(failures) < len(part)
        # A rejected request will always be rejected: its problem has no rollouts. But if the server
        # has rejected every request so far, the requests themselves are wrong.
        is_lost = [
            isinstance(answer, EngineError)
            and not (has_answered and isinstance(answer, RefusedError))
            for answer in answers
        ]
        if any(is_lost):
            groups = [
                None if is_missing else group
                for is_missing, group in zip(is_lost, batch.groups, strict=True)
            ]
            raise rejection.UnfinishedError(str(_lasting(failures)), groups)
        if failures:
            note(
                f"{len(failures)} of {len(part)} problems were refused, as this one: {failures[0]}"
            )
        return batch

    return SamplingRun(name, sample, REMOTE_CHUNK, is_repeatable=False)


def _lasting(failures: Sequence[EngineError]) -> EngineError:
    """Return a failure of the server if there is one, rather than of a single request."""
    return min(failures, key=lambda failure: isinstance(failure, RefusedError))


def _fitting(
    renderer: Renderer,
    problems: Sequence[tuple[int, Problem]],
    sampling: SamplingParams,
    limit: int | None,
) -> SamplingParams:
    """Limit max_tokens to the model's context after the longest prompt."""
    if limit is None:
        return sampling
    size, problem = max(
        ((len(renderer.render_prompt(problem.messages)), problem) for _, problem in problems),
        key=lambda pair: pair[0],
    )
    if size >= limit:
        raise EngineError(
            f"The problem {problem.id} has {size} tokens, and the model's context ends at {limit}; "
            "remove the problem."
        )
    return SamplingParams(
        min(sampling.max_tokens, limit - size), sampling.temperature, sampling.top_p
    )


def _refuse_foreign(out: Path) -> None:
    """Raises RunError if `out` exists without a rollouts file: r1kit did not write it."""
    if out.is_file() and not rollouts_path(out).exists():
        raise RunError(f"{out} exists and was not made by `r1 sample`; use another --out.")


def _benchmark(argument: str) -> BenchmarkQuestions:
    name, sign, file = argument.partition("=")
    if not (name and sign and file):
        raise ConfigError(f"--benchmark {argument!r}: write NAME=FILE.jsonl.")
    return BenchmarkQuestions(name, questions.read_questions(Path(file)))


class _Rate(ProgressColumn):
    """Problems per second, or per minute if that is less than one."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        rate = f"{speed:.1f}/s" if speed >= 1 else f"{speed * 60:.1f}/min"
        return Text(rate, "progress.data.speed")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _print_result(result: rejection.RejectionSamplingResult, console: Console) -> None:
    lines = [
        result.report.table(),
        "",
        f"{result.n_problems:,} problems, {result.n_rollouts:,} completions with a verdict, "
        f"{result.n_undecided:,} undecided.",
        f"Conversations: {result.data}",
        f"All rollouts:  {result.rollouts}",
    ]
    console.print(Text(printable("\n".join(lines))), soft_wrap=True)
