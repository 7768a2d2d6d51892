"""Rejection sampling: problems → rollouts on disk → curated conversations.

    data.jsonl.rollouts   settings, then one line per problem, appended chunk by chunk; each line
                          ends with its checksum
    data.jsonl            the conversations, replaced atomically when all problems are sampled

A rollout is sampled once: a killed run resumes with the problems that have no line yet, and
curation reads the rollouts back from the file. A resumed run therefore leaves the same bytes as an
uninterrupted one (docs/curation.md). Source: rejection sampling of the R1 paper, section 2.3.3 of
its first version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from r1kit.curate import BenchmarkQuestions, FilterReport, FilterRules, Provenance, curate
from r1kit.errors import CurationError, EngineError, RunError
from r1kit.files.atomic import replace_lines
from r1kit.renderers.thinking import parse
from r1kit.rollouts.rollouts_file import RolloutsFile, RolloutsRecord, rollouts_path
from r1kit.types import LOGIT_PARAMS, Group, ParsedCompletion, Problem, SamplingParams

if TYPE_CHECKING:
    from r1kit.model.ranks import Ranks

CHUNK = 64
"""number of problems sampled between two flushes to disk, the most that a kill can lose"""
IndexedProblems = Sequence[tuple[int, Problem]]
"""(index, problem) pairs; the index identifies the problem in the file"""


class SampleResult(Protocol):
    """The result of `sample`, such as `RolloutBatch`: one group per problem, in order."""

    @property
    def groups(self) -> Sequence[Group]: ...


SampleFunction = Callable[[IndexedProblems], SampleResult]


class UnfinishedError(EngineError):
    """Raised if a chunk was sampled only in part; `groups` has None for each missing group."""

    def __init__(self, message: str, groups: Sequence[Group | None]) -> None:
        super().__init__(message)
        self.groups = groups


@dataclass(frozen=True, slots=True)
class RejectionSamplingResult:
    """The files, counts and filter report of a rejection sampling run."""

    data: Path
    rollouts: Path
    n_problems: int
    n_rollouts: int
    """completions with a verdict"""
    n_undecided: int
    """completions without a verdict: they are not rollouts and not trained on"""
    report: FilterReport


def rejection_sampling(
    problems: IndexedProblems,
    sample: SampleFunction,
    out: Path,
    origin: Provenance,
    rules: FilterRules | None = None,
    benchmarks: Sequence[BenchmarkQuestions] = (),
    *,
    n: int,
    sampling: SamplingParams,
    parse: Callable[[str], ParsedCompletion] = parse,
    chunk: int = CHUNK,
    is_repeatable: bool = True,
    ranks: Ranks | None = None,
    on_chunk: Callable[[int, int], None] | None = None,
) -> RejectionSamplingResult:
    """Sample problems that have no line yet, curate all rollouts, write the conversations to `out`.

    `n` and `sampling` are those of `sample`, and are recorded in the file's first line; `parse` is
    that of the model's renderer, as the file has texts.
    `is_repeatable` means that `sample` returns the same for the same chunk: if a kill has left a
    chunk incomplete, the whole chunk is sampled again and the missing lines are written, because
    logits depend in their last bits on the batch. Without it no problem is ever sampled twice. With
    `ranks`, every rank calls this with the same arguments: `sample` gets this rank's share of each
    chunk, and only the first rank accesses files. `on_chunk(done, total)` counts problems.

    Raises RunError if the rollouts beside `out` were sampled with other settings or are in use by
    another process, EngineError if sampling fails, CurationError if no conversation is left.
    """
    by_index = dict(problems)
    if len(by_index) < len(problems):
        raise ValueError("two problems have one index")
    if out.is_dir():
        raise RunError(f"{out} is a folder; name a file with --out.")
    is_first = ranks is None or ranks.is_first
    file = None
    try:
        if is_first:
            file = RolloutsFile(rollouts_path(out), _settings(problems, origin, n, sampling))
        sampled_indices = _from_first(ranks, file and frozenset(file.indices))
        for start in range(0, len(problems), chunk):
            if on_chunk is not None:
                on_chunk(start, len(problems))
            part = problems[start : start + chunk]
            missing = [(index, problem) for index, problem in part if index not in sampled_indices]
            if missing:
                _sample_chunk(part if is_repeatable else missing, sample, file, out, ranks)
        if on_chunk is not None:
            on_chunk(len(problems), len(problems))
        curated = None
        if file is not None:
            groups = file.groups(by_index, parse)
            curated = _curated(groups, n, out, origin, rules, benchmarks)
    finally:
        if file is not None:
            file.close()
    result: RejectionSamplingResult = _from_first(ranks, curated)
    return result


def _settings(
    problems: IndexedProblems, origin: Provenance, n: int, sampling: SamplingParams
) -> RolloutsRecord:
    """Return the settings that determine the rollouts; the rules do not, and may change."""
    digest = hashlib.sha256()
    for pair in problems:
        digest.update(f"{pair!r}\n".encode("utf-8", "backslashreplace"))
    params = asdict(sampling)
    if not sampling.adjusts_logits:  # files from before there were such parameters stay valid
        params = {name: value for name, value in params.items() if name not in LOGIT_PARAMS}
    return {**asdict(origin), "n": n, "sampling": params, "problems": digest.hexdigest()}


def _sample_chunk(
    part: IndexedProblems,
    sample: SampleFunction,
    file: RolloutsFile | None,
    out: Path,
    ranks: Ranks | None,
) -> None:
    """Sample this rank's share; groups of all ranks are written, even if another rank failed."""
    share = part if ranks is None else ranks.share(part)
    groups: Sequence[Group | None] = []
    failure: str | None = None
    if share:
        try:
            groups = sample(share).groups
        except UnfinishedError as error:
            groups, failure = error.groups, str(error)
    if len(groups) != len(share):
        raise ValueError(f"sample gave {len(groups)} groups for {len(share)} problems")
    shares = [(groups, failure)] if ranks is None else ranks.gather((groups, failure))
    if file is not None:
        all_groups = [shares[at % len(shares)][0][at // len(shares)] for at in range(len(part))]
        pairs = zip(part, all_groups, strict=True)
        file.add([(index, group) for (index, _), group in pairs if group is not None])
    if failures := [failure for _, failure in shares if failure is not None]:
        raise EngineError(
            f"{failures[0]} The rollouts sampled so far are in {rollouts_path(out)}; the same "
            "command continues from there."
        )


def _curated(
    groups: Sequence[Group],
    n: int,
    out: Path,
    origin: Provenance,
    rules: FilterRules | None,
    benchmarks: Sequence[BenchmarkQuestions],
) -> RejectionSamplingResult:
    n_rollouts = sum(len(group.rollouts) for group in groups)
    n_undecided = n * len(groups) - n_rollouts
    rollouts = rollouts_path(out)
    if not n_rollouts and n_undecided:
        raise CurationError(
            f"None of {n_undecided} completions got a verdict, so there is no training data; check "
            f"in {rollouts} that the completions have answers, and that the verifier works."
        )
    try:
        curated = curate(groups, origin, rules, benchmarks)
    except CurationError as error:
        raise CurationError(f"{error} All rollouts are in {rollouts}.") from None
    replace_lines(out, curated.rows)
    return RejectionSamplingResult(
        out, rollouts, len(groups), n_rollouts, n_undecided, curated.report
    )


def _from_first(ranks: Ranks | None, item: Any) -> Any:
    return item if ranks is None else ranks.gather(item)[0]
