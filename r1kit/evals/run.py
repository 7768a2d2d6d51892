"""`r1 eval`: the steps from the command line to the table of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from r1kit.errors import EngineError
from r1kit.evals.compare import show_difference
from r1kit.evals.evaluate import EvalOptions, Evaluation, load_sets, open_measurements
from r1kit.evals.jobs import JobResult, SampleJob
from r1kit.evals.judging import JudgeOptions, open_judge
from r1kit.evals.open_model import EvalModel, ModelOptions, open_model
from r1kit.evals.own_data import contamination
from r1kit.evals.report import write_report
from r1kit.evals.result import RESULT, read_result, result_of, write_result
from r1kit.evals.suite import find_benchmarks
from r1kit.evals.view import EvalView, show_result
from r1kit.types import Problem

OUT = Path("evals")
"""folder of results by default"""


def run(
    model_options: ModelOptions,
    suite: str,
    options: EvalOptions,
    out: Path | None,
    console: Console,
) -> None:
    """Measure a model, write the result, and print it.

    Raises an R1Error before anything is sampled, or an EngineError in the middle; what was sampled
    is kept, and the same command continues.
    """
    errors = Console(stderr=True)
    specs, optional = find_benchmarks(suite)
    with errors.status("Reading the benchmarks …"):
        sets, missing = load_sets(specs, optional, options.data, options.judge is not None)
    with ExitStack() as stack:
        judge = stack.enter_context(open_judge(options.judge))
        opening = open_model(model_options, options.protocol.opens_thinking, errors)
        model = stack.enter_context(opening)
        folder = out or OUT / model.name
        measurements = open_measurements(sets, options, folder, model, stack, judge)
        evaluation = Evaluation(measurements, missing=missing)
        errors.print(Text(_plan(evaluation, folder), "dim"), soft_wrap=True)
        try:
            with EvalView(errors) as view:
                evaluation.run(model, view.update)
        except EngineError as error:
            n_done = sum(m.n_done for m in measurements)
            raise EngineError(
                f"{error} {n_done:,} of {sum(m.n_total for m in measurements):,} completions are "
                f"kept in {folder}; the same command continues."
            ) from None
        overlaps = contamination(model_options.model, measurements)
        result = result_of(evaluation, options, model, overlaps)
        write_result(folder, result)
        files = [folder / RESULT, *write_report(folder, result, measurements)]
    show_result(result, console)
    console.print(Text(f"\nWritten: {', '.join(map(str, files))}", "dim"), soft_wrap=True)


def grade(
    folder: Path,
    grader: str | None,
    data: Path | None,
    console: Console,
    policy: str | None = None,
    judge: JudgeOptions | None = None,
) -> None:
    """Grade the completions of a result again, without sampling; write and print the new result.

    Another grader than the benchmarks' own, or another policy than the protocol's, writes
    `result.<name>.json` beside the first one.
    """
    old = read_result(folder)
    options = replace(EvalOptions.from_record(old["options"]), grader=grader)
    options = replace(options, protocol=options.protocol.changed(policy=policy))
    options = replace(options, data=data or options.data, judge=judge or options.judge)
    errors = Console(stderr=True)
    specs, _ = find_benchmarks(",".join(old["benchmarks"]))
    sets, _ = load_sets(specs, set(), options.data, options.judge is not None)
    examples = {name: record["prompt_example"] for name, record in old["benchmarks"].items()}
    model = EvalModel(NoSource(examples), "", old["model"], old["opens_thinking"])
    with ExitStack() as stack:
        asked = stack.enter_context(open_judge(options.judge))
        measurements = open_measurements(sets, options, folder, model, stack, asked)
        evaluation = Evaluation(measurements, missing=old["missing"])
        with EvalView(errors) as view:
            evaluation.run(model, view.update)
        overlaps = {name: record["contamination"] for name, record in old["benchmarks"].items()}
        result = result_of(evaluation, options, model, overlaps)
        changes = [change for change in (grader, policy) if change is not None]
        name = ".".join(["result", *changes, "json"])
        write_result(folder, result, name)
        if not changes:
            write_report(folder, result, measurements)
    show_result(result, console)
    console.print(Text(f"\nWritten to {folder / name}", "dim"), soft_wrap=True)


class NoSource:
    """A `CompletionSource` that samples nothing: for grading again."""

    def __init__(self, examples: Mapping[str, str]) -> None:
        """`examples` has the prompt to show of every benchmark."""
        self._examples = examples

    def complete(self, jobs: Iterator[SampleJob]) -> Iterator[tuple[SampleJob, JobResult]]:
        """Implements `CompletionSource.complete`."""
        yield from ()

    def show_prompt(self, problem: Problem) -> str:
        """Implements `CompletionSource.show_prompt`."""
        return self._examples.get(problem.id.partition("/")[0], "")


def diff(first: Path, second: Path, console: Console) -> None:
    """Print what differs between two results, and whether the scores do."""
    show_difference(read_result(first), read_result(second), console)


def _plan(evaluation: Evaluation, folder: Path) -> str:
    total = sum(m.n_total for m in evaluation.measurements)
    done = sum(m.n_done for m in evaluation.measurements)
    resumed = f", {done:,} of them sampled before" if done else ""
    names = ", ".join(m.name for m in evaluation.measurements)
    return f"{names}: {total:,} completions{resumed} → {folder}"
