"""Sample and keep: every rollout once, whatever happens, and the same bytes in the end."""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from r1kit.config import ComputeConfig
from r1kit.curate import FilterRules, Provenance, messages_of
from r1kit.engines.scripted import ScriptedEngine
from r1kit.errors import CurationError, EngineError, RunError
from r1kit.model.parallel import launch
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.renderers.thinking import parse
from r1kit.rollouts import rejection, rollouts_file
from r1kit.rollouts.collect import AttemptSampler, RolloutBatch, collect_rollouts
from r1kit.rollouts.rubric import Rubric
from r1kit.tasks.world import FAMILIES, Equation, Family
from r1kit.types import (
    Completion,
    Group,
    Problem,
    Request,
    Reward,
    Rollout,
    SamplingParams,
    Verdict,
)

SAMPLING = SamplingParams(64, 0.7)
ORIGIN = Provenance("runs/tiny/zero-000040", seed=5)
TASK = Equation(languages=["en"])
PROBLEMS = [(index, TASK.problem(index)) for index in range(3, 23)]


def rollout(index: int, problem: Problem, i: int) -> Rollout:
    is_right = (index + i) % 3 > 0
    text = f"<think>try {index} and {i}, né</think>\\boxed{{{problem.answer if is_right else 0}}}"
    completion = Completion([index, i], [-0.1 * i, -1 / 3], text, "stop", 2)
    verdict = Verdict(is_right, "5" if is_right else None, "by hand")
    scored = Reward(1.1, {"accuracy": 0.1 + i})
    return Rollout(problem, [1, index], completion, parse(text), verdict, scored)


@dataclass
class Teacher:
    """Answers by index; dies at a problem, if one is named."""

    dies_at: int | None = None
    n: int = 3

    def __post_init__(self) -> None:
        self.requests: list[int] = []
        self.groups: list[Group] = []

    def __call__(self, part: rejection.IndexedProblems) -> "Teacher":
        self.groups = []
        for index, problem in part:
            if index == self.dies_at:
                raise KeyboardInterrupt
            self.requests.append(index)
            self.groups.append(Group(problem, [rollout(index, problem, i) for i in range(self.n)]))
        return self


def kept(
    out: Path,
    teacher: rejection.SampleFunction,
    problems: rejection.IndexedProblems = PROBLEMS,
    **options: Any,
) -> rejection.RejectionSamplingResult:
    settings: dict[str, Any] = {"n": 3, "sampling": SAMPLING, "chunk": 4} | options
    return rejection.rejection_sampling(
        problems, teacher, out, settings.pop("origin", ORIGIN), **settings
    )


def files(out: Path) -> tuple[bytes, bytes]:
    return out.read_bytes(), rollouts_file.rollouts_path(out).read_bytes()


@pytest.fixture
def whole(tmp_path: Path) -> tuple[bytes, bytes]:
    """What a run leaves that nothing interrupts."""
    kept(tmp_path / "whole.jsonl", Teacher())
    return files(tmp_path / "whole.jsonl")


@pytest.mark.parametrize("task", [family(level=2) for family in FAMILIES.values()],
                         ids=lambda task: task.name)  # fmt: skip
def test_a_group_is_read_back_as_it_was(task: Family) -> None:
    problem = task.problem(1)
    group = Group(problem, [rollout(1, problem, i) for i in range(3)])
    record = json.loads(json.dumps(rollouts_file.group_record(1, group)))
    assert rollouts_file.group_from(record, problem) == group
    empty = Group(problem, [])
    assert rollouts_file.group_from(rollouts_file.group_record(1, empty), problem) == empty


def test_rows_say_where_they_are_from(tmp_path: Path) -> None:
    teacher, observed = Teacher(), []
    out = tmp_path / "new" / "data.jsonl"
    result = kept(out, teacher, on_chunk=lambda *at: observed.append(at))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == result.report.n_out > 0
    assert rows[0]["provenance"]["checkpoint"] == ORIGIN.checkpoint
    assert rows[0]["provenance"]["seed"] == 5
    assert rows[0]["provenance"]["verdict"]["outcome"] == "correct"
    assert rows[0]["provenance"]["filters"][0] == "correct"
    reasoning = messages_of(rows[0])[-1].reasoning
    assert reasoning is not None
    assert reasoning.startswith("try 3 and ")
    assert observed == [(0, 20), (4, 20), (8, 20), (12, 20), (16, 20), (20, 20)]
    assert (result.n_problems, result.n_rollouts, result.n_undecided) == (20, 60, 0)
    settings, first, *_ = map(json.loads, rollouts_file.rollouts_path(out).read_text().splitlines())
    assert settings["sampling"]["temperature"] == 0.7
    assert first["problem"]["id"] == PROBLEMS[0][1].id


@pytest.mark.parametrize("dies_at", [3, 9, 22])
def test_a_killed_run_goes_on_and_leaves_the_same_bytes(
    tmp_path: Path, whole: tuple[bytes, bytes], dies_at: int
) -> None:
    out = tmp_path / "data.jsonl"
    killed, again, idle = Teacher(dies_at), Teacher(), Teacher()
    with pytest.raises(KeyboardInterrupt):
        kept(out, killed)
    assert not out.exists()
    kept(out, again)
    assert files(out) == whole
    # What was being sampled when it died is sampled again; what was written is not.
    written = [index for index, _ in PROBLEMS if index not in again.requests]
    assert len(written) == (dies_at - 3) // 4 * 4
    kept(out, idle)
    assert idle.requests == []
    assert files(out) == whole


def test_a_torn_line_is_sampled_again(tmp_path: Path, whole: tuple[bytes, bytes]) -> None:
    out = tmp_path / "data.jsonl"
    path = rollouts_file.rollouts_path(out)
    content = whole[1]
    starts = [0, *(at + 1 for at, byte in enumerate(content) if byte == 10)]
    cuts = [1, starts[1] - 1, starts[1], starts[1] + 1, starts[8] - 1, starts[8] + 40, len(content)]
    for cut in cuts:
        for is_repeatable in (True, False):
            path.write_bytes(content[:cut])
            teacher = Teacher()
            kept(out, teacher, is_repeatable=is_repeatable)
            assert files(out) == whole, cut
            n_there = max(0, content[:cut].count(b"\n") - 1)
            first = n_there // 4 * 4 if is_repeatable else n_there
            assert teacher.requests == [index for index, _ in PROBLEMS[first:]], cut


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"n": 4}, "n 3, now 4"),
        ({"sampling": SamplingParams(64, 0.8)}, "temperature 0.7, now 0.8"),
        (
            {"origin": Provenance("runs/tiny/zero-000080", 5)},
            "checkpoint runs/tiny/zero-000040, now",
        ),
        ({"origin": Provenance(ORIGIN.checkpoint, 6)}, "seed 5, now 6"),
        ({"problems": PROBLEMS[1:]}, "other problems"),
    ],
)
def test_rollouts_of_other_settings_are_left_alone(
    tmp_path: Path, changed: dict[str, Any], expected: str
) -> None:
    out = tmp_path / "data.jsonl"
    kept(out, Teacher())
    before = files(out)
    with pytest.raises(RunError, match=f"other settings .*{expected}.*use another --out"):
        kept(out, Teacher(), **changed)
    assert files(out) == before


def test_rules_may_change_without_sampling_again(tmp_path: Path) -> None:
    out = tmp_path / "data.jsonl"
    n_all = kept(out, Teacher()).report.n_out
    idle = Teacher()
    n_some = kept(out, idle, rules=FilterRules(per_problem=1)).report.n_out
    assert idle.requests == []
    assert 0 < n_some < n_all


@pytest.mark.parametrize("content", [b"thesis", b'{"kind": "groups"}\n', b'{"a": 1}\n{"b": 2}\n'])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = rollouts_file.rollouts_path(tmp_path / "data.jsonl")
    path.write_bytes(content)
    with pytest.raises(RunError, match="was not written by r1kit; use another --out"):
        kept(tmp_path / "data.jsonl", Teacher())
    assert path.read_bytes() == content


def test_a_changed_token_is_noticed_and_its_line_sampled_again(
    tmp_path: Path, whole: tuple[bytes, bytes]
) -> None:
    out = tmp_path / "data.jsonl"
    kept(out, Teacher())
    path = rollouts_file.rollouts_path(out)
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, second.replace(b"x", b"y", 1), *rest]))
    with pytest.raises(RunError, match=r"rollouts: line 2 is damaged .*delete that line"):
        kept(out, Teacher())
    path.write_bytes(b"".join([first, *rest]))
    kept(out, Teacher())
    assert files(out)[0] == whole[0]


def test_only_one_process_writes(tmp_path: Path) -> None:
    out = tmp_path / "data.jsonl"
    kept(out, Teacher())
    lock = os.open(rollouts_file.rollouts_path(out), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(RunError, match="Another process is writing"):
        kept(out, Teacher())
    os.close(lock)
    kept(out, Teacher())


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.jsonl").mkdir()
    for out in (tmp_path / "file" / "data.jsonl", tmp_path / "folder.jsonl", Path("/proc/no/x")):
        teacher = Teacher()
        with pytest.raises(RunError, match="--out"):
            kept(out, teacher)
        assert teacher.requests == []


def test_what_was_answered_is_kept_when_the_rest_fails(
    tmp_path: Path, whole: tuple[bytes, bytes]
) -> None:
    out = tmp_path / "data.jsonl"

    def half(part: rejection.IndexedProblems) -> Teacher:
        groups = Teacher()(part).groups
        if part[0][0] >= 11:
            raise rejection.UnfinishedError("Down.", [groups[0], None, groups[2], None])
        return Teacher()(part)

    with pytest.raises(
        EngineError, match=r"Down\. The rollouts sampled so far are in .*the same command"
    ):
        kept(out, half)
    rest = Teacher()
    kept(out, rest, is_repeatable=False)
    assert rest.requests == [12, *range(14, 23)]
    assert files(out)[0] == whole[0]
    assert sorted(files(out)[1].splitlines()) == sorted(whole[1].splitlines())


def test_undecided_completions_are_counted(tmp_path: Path) -> None:
    def unsure(part: rejection.IndexedProblems) -> Teacher:
        actual = Teacher(n=1)(part)
        actual.groups[0] = Group(part[0][1], [])
        return actual

    result = kept(tmp_path / "data.jsonl", unsure)
    assert (result.n_rollouts, result.n_undecided) == (15, 45)
    with pytest.raises(CurationError, match="None of 60 completions got a verdict"):
        kept(tmp_path / "none.jsonl", Teacher(n=0))


def test_nothing_left_says_where_the_rollouts_are(tmp_path: Path) -> None:
    out = tmp_path / "data.jsonl"
    with pytest.raises(CurationError, match=r"No conversation is left .* are in .*data.jsonl.roll"):
        kept(out, Teacher(), rules=FilterRules(lowest_pass_rate=1.0))
    assert not out.exists()


def answered(ranks: Ranks | None, out: Path) -> tuple[rejection.RejectionSamplingResult, int]:
    """With a real engine and its verdicts; also how many problems this rank was asked."""
    tokenizer = train_tokenizer(["Solve 3x+1=10 wait yes no"] * 4, 300)
    n_asked = 0

    def answer(request: Request, i: int) -> str:
        return f"<think>by {request.seed}</think>\\boxed{{{i}}}"

    def sample(part: rejection.IndexedProblems) -> RolloutBatch:
        nonlocal n_asked
        n_asked += len(part)
        renderer, rubric = renderer_of(tokenizer), Rubric(TASK.verify, {"accuracy": 1.0})
        engine = ScriptedEngine(answer, tokenizer)
        return collect_rollouts(AttemptSampler(engine, renderer, 9, SAMPLING, 5), rubric, part)

    result = rejection.rejection_sampling(
        PROBLEMS, sample, out, ORIGIN, n=9, sampling=SAMPLING, chunk=7, ranks=ranks
    )
    return result, n_asked


@pytest.mark.slow
@pytest.mark.usefixtures("forked_ranks")
def test_two_ranks_write_what_one_writes(tmp_path: Path) -> None:
    alone, both = tmp_path / "alone.jsonl", tmp_path / "both.jsonl"
    _, n_alone = answered(None, alone)
    result, n_mine = launch(2, ComputeConfig(device="cpu"), answered, both)
    assert files(both) == files(alone)
    assert (n_alone, n_mine) == (20, 11)
    assert result.n_rollouts == 180
