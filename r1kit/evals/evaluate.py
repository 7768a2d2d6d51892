"""An evaluation: load the sets, sample what the log lacks, grade, and compute the result.

Every completion is logged before it is graded. The completions of all benchmarks are one stream, so
that the model is busy from the first problem to the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from r1kit.errors import ConfigError, DataError
from r1kit.evals.completion_log import CompletionLog, LogKey, LogRecord
from r1kit.evals.graders import Grader, find_grader
from r1kit.evals.grading import Grading, VerdictFile, verdict_by
from r1kit.evals.jobs import SampledText, SampleJob, job_seed
from r1kit.evals.judging import JUDGED, AnswerJudge, JudgeOptions, judged_grader, needs_judge
from r1kit.evals.load import EvalSet, content_hash, load_set
from r1kit.evals.open_model import EvalModel
from r1kit.evals.protocols import EvalProtocol, find_protocol
from r1kit.evals.scores import GradedProblem, GradedSample
from r1kit.evals.suite import BenchmarkSpec
from r1kit.types import Problem, SamplingParams


@dataclass(frozen=True)
class EvalOptions:
    """The options of an evaluation, besides model and benchmarks."""

    protocol: EvalProtocol
    data: Path | None = None
    """folder with local copies of the benchmarks"""
    samples: int | None = None
    """k, completions per problem; None: as the protocol says"""
    limit: int | None = None
    """maximum number of problems per benchmark"""
    seed: int = 0
    grader: str | None = None
    """name of the grader; None: that of the benchmark"""
    judge: JudgeOptions | None = None
    """judge of the benchmarks that need one"""

    def as_record(self) -> dict[str, Any]:
        """Return the options as JSON; `from_record` reads them back."""
        return {
            "protocol": self.protocol.name,
            "changes": dict(self.protocol.changes),
            "data": None if self.data is None else str(self.data),
            "samples": self.samples,
            "limit": self.limit,
            "seed": self.seed,
            "grader": self.grader,
            "judge": None if self.judge is None else self.judge.as_record(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the options of a result."""
        protocol = find_protocol(record["protocol"]).changed(**record["changes"])
        data = None if record["data"] is None else Path(record["data"])
        names = ("samples", "limit", "seed", "grader")
        judge = JudgeOptions(**record["judge"]) if record.get("judge") else None
        return cls(protocol, data, **{name: record[name] for name in names}, judge=judge)


@dataclass
class MeasuredBenchmark:
    """One benchmark in an evaluation."""

    eval_set: EvalSet
    problems: list[Problem]
    """the chosen problems, with their prompts"""
    k: int
    sampling: SamplingParams
    seed: int
    policy: str
    """the policy of the protocol, by which `graded` reads the verdicts"""
    grader: Grader
    log: CompletionLog
    verdicts: VerdictFile

    @property
    def name(self) -> str:
        return self.eval_set.spec.name

    @property
    def n_total(self) -> int:
        return len(self.problems) * self.k

    @property
    def n_done(self) -> int:
        return sum(key in self.log.completions for key in self.keys())

    def keys(self) -> Iterator[tuple[str, int]]:
        return ((p.id, sample) for p in self.problems for sample in range(self.k))

    def jobs(self) -> Iterator[SampleJob]:
        """Yield the completions that are not in the log."""
        for problem in self.problems:
            for sample in range(self.k):
                if (problem.id, sample) not in self.log.completions:
                    seed = job_seed(self.seed, problem.id, sample)
                    yield SampleJob(problem, sample, self.sampling, seed)

    def ungraded(self) -> Iterator[tuple[Problem, dict[str, Any]]]:
        """Yield the completions in the log that have no verdict."""
        for problem in self.problems:
            for sample in range(self.k):
                key = (problem.id, sample)
                if key in self.log.completions and not self._is_graded(key):
                    yield problem, self.log.completions[key]

    def _is_graded(self, key: LogKey) -> bool:
        """True if there is a verdict, and no judge failed to give it."""
        line = self.verdicts.verdicts.get(key)
        return line is not None and "judge_failed" not in line.get("details", {})

    def verdict(self, key: LogKey, policy: str | None = None) -> LogRecord:
        """Return the verdict on a completion, by default by the protocol's policy."""
        return verdict_by(self.verdicts.verdicts[key], policy or self.policy)

    def graded(self, policy: str | None = None) -> list[GradedProblem]:
        """Return the problems with the verdicts that are there, by default the protocol's."""
        return [self._graded(problem, policy or self.policy) for problem in self.problems]

    def _graded(self, problem: Problem, policy: str) -> GradedProblem:
        samples, failures = [], dict[str, int]()
        for sample in range(self.k):
            key = (problem.id, sample)
            if key in self.verdicts.verdicts and key in self.log.completions:
                samples.append(self._sample(key, policy))
            elif key in self.log.failures:
                kind = self.log.failures[key]["failure"]
                failures[kind] = failures.get(kind, 0) + 1
        subject = str(problem.meta.get("subject") or "")
        return GradedProblem(problem.id, content_hash(problem), subject, samples, failures)

    def _sample(self, key: tuple[str, int], policy: str) -> GradedSample:
        record, line = self.log.completions[key], self.verdicts.verdicts[key]
        verdict = self.verdict(key, policy)
        return GradedSample(
            verdict["correct"],
            verdict["extracted"],
            record["n_tokens"],
            record["finish"] == "length",
            record["max_tokens"] < self.sampling.max_tokens,
            line["language"],
            bool(verdict.get("grader_failed")),
            verdict.get("details", {}),
        )


OnProgress = Callable[[Sequence[MeasuredBenchmark]], None]
"""callback after every result"""


@dataclass
class Evaluation:
    """The benchmarks of an evaluation, with their open logs."""

    measurements: list[MeasuredBenchmark]
    seconds: float = 0.0
    """time of this session, without loading"""
    n_sampled: int = 0
    """number of completions of this session"""
    missing: dict[str, str] = field(default_factory=dict)
    """benchmarks that cannot be had, each with the sentence that says why"""

    def run(self, model: EvalModel, on_progress: OnProgress) -> None:
        """Sample the completions that are missing, and grade all of them.

        Raises EngineError if the model can no longer be sampled from; everything so far is logged.
        """
        started = time.perf_counter()
        by_name = {measurement.name: measurement for measurement in self.measurements}
        has_judge = any(measurement.grader.judge for measurement in self.measurements)
        with Grading(has_judge) as grading:
            for measurement in self.measurements:
                for problem, record in measurement.ungraded():
                    grading.add(measurement.verdicts, measurement.grader, problem, record)
            try:
                for name, job, result in self._results(model):
                    measurement = by_name[name]
                    record = measurement.log.add(job, result)
                    if isinstance(result, SampledText):
                        self.n_sampled += 1
                        grading.add(measurement.verdicts, measurement.grader, job.problem, record)
                    grading.collect()
                    on_progress(self.measurements)
            finally:
                for measurement in self.measurements:
                    measurement.log.sync()
            grading.collect(is_last=True)
            on_progress(self.measurements)
        self.seconds = time.perf_counter() - started

    def _results(self, model: EvalModel) -> Iterator[tuple[str, SampleJob, Any]]:
        owners: dict[tuple[str, int], str] = {}

        def jobs() -> Iterator[SampleJob]:
            for measurement in self.measurements:
                for job in measurement.jobs():
                    owners[job.key] = measurement.name
                    yield job

        for job, result in model.source.complete(jobs()):
            yield owners.pop(job.key), job, result


def load_sets(
    specs: Sequence[BenchmarkSpec], optional: set[str], data: Path | None, has_judge: bool = False
) -> tuple[list[EvalSet], dict[str, str]]:
    """Load the sets; return them, and why optional ones are missing.

    Raises DataError for a missing set that is not optional, and if none is left; ConfigError for
    one that lacks its judge.
    """
    sets, missing = [], {}
    for spec in specs:
        try:
            if spec.grader in JUDGED and not has_judge:
                raise ConfigError(needs_judge(spec.name))
            sets.append(load_set(spec, data))
        except (ConfigError, DataError) as error:
            if spec.name not in optional:
                raise
            missing[spec.name] = str(error)
    if not sets:
        raise DataError(f"No benchmark of the suite can be had. {next(iter(missing.values()))}")
    return sets, missing


def open_measurements(
    sets: Sequence[EvalSet],
    options: EvalOptions,
    out: Path,
    model: EvalModel,
    stack: ExitStack,
    judge: AnswerJudge | None = None,
) -> list[MeasuredBenchmark]:
    """Open the logs of all benchmarks in the folder `out`; the stack closes them.

    Raises RunError if a log belongs to another evaluation or process.
    """
    measurements = []
    for eval_set in sets:
        spec, protocol = eval_set.spec, options.protocol
        grader_name = options.grader or spec.grader
        grader = judged_grader(grader_name, judge) if grader_name in JUDGED \
            else find_grader(grader_name)  # fmt: skip
        settings = {
            "benchmark": spec.name,
            "model": model.facts["model_hash"] or model.facts["model"],
            "engine": model.facts["engine"],
            "sampling": {
                "temperature": protocol.temperature,
                "top_p": protocol.top_p,
                "max_tokens": protocol.max_tokens,
            },
            "opens_thinking": model.opens_thinking,
            "seed": options.seed,
        }
        log = CompletionLog(completions_path(out, spec.name), settings)
        stack.callback(log.close)
        problems = eval_set.prompted(protocol, options.limit)
        log.require_same_prompts(problems)
        verdicts = VerdictFile(verdicts_path(out, spec.name, grader.file_name), grader)
        stack.callback(verdicts.close)
        measurements.append(
            MeasuredBenchmark(
                eval_set,
                problems,
                options.samples or protocol.samples.get(spec.name, 1),
                protocol.sampling,
                options.seed,
                protocol.policy,
                grader,
                log,
                verdicts,
            )
        )
    return measurements


def completions_path(out: Path, benchmark: str) -> Path:
    """Return the log of a benchmark's completions in a folder of results."""
    return out / f"{benchmark}.completions.jsonl"


def verdicts_path(out: Path, benchmark: str, grader: str) -> Path:
    """Return the verdicts of a grader on them."""
    return out / f"{benchmark}.verdicts.{grader}.jsonl"
