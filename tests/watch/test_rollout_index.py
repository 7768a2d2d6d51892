"""The index of rollouts: chosen by numbers, read from the disk one at a time."""

import json
from pathlib import Path

import pytest

from r1kit.watch.rollout_index import RolloutFilter, RolloutIndex, score
from r1kit.watch.rollout_page import exported, group_page, problem_history, rollout_rows, text_parts
from tests.watch.runs import write_watched_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_watched_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def index(run: Path) -> RolloutIndex:
    index = RolloutIndex(run / "samples.jsonl")
    assert index.refresh()
    assert not index.refresh()
    return index


def test_every_filter_counts_what_the_file_has(index: RolloutIndex, run: Path) -> None:
    records = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    rollouts = [
        (record, rollout) for record in records for rollout in record.get("rollouts", [record])
    ]
    assert (len(index), index.n_groups) == (len(rollouts), len(records)) == (33, 9)

    def n(**wanted: object) -> int:
        return index.find(RolloutFilter(**wanted))[0]  # type: ignore[arg-type]

    assert n() == 33
    assert n(stage="zero") == 32
    assert n(stage="final") == 0
    assert n(step=20) == 4
    assert n(verdict="right") == sum(one["correct"] is True for _, one in rollouts)
    assert n(verdict="undecided") == 1
    assert n(task="series") == n(language="ko") == 16
    assert n(problem="equation/5") == 16
    assert n(min_tokens=40, max_tokens=50) == sum(40 <= r["n_tokens"] <= 50 for _, r in rollouts)
    assert n(problem="equation/5", step=15, verdict="right") == 1
    assert index.parts == ["accuracy", "format"]
    assert n(part="accuracy", min_part=1.0) == n(verdict="right")
    assert n(part="format", max_part=0.5) == sum(r["reward"]["format"] <= 0.5 for _, r in rollouts)
    assert n(part="format", min_part=0.3, max_part=0.6, step=20) == 1
    assert n(part="language") == 0


def test_the_best_and_the_worst_come_first(index: RolloutIndex) -> None:
    def first(order: str, start: int = 0) -> dict[str, object]:
        return index.row(index.find(RolloutFilter(stage="zero"), order, start, 1)[1][0])

    assert first("best")["verdict"] == "right"
    assert first("worst")["verdict"] == "undecided"
    assert first("worst", start=1)["verdict"] == "wrong"
    assert (first("longest")["step"], first("longest")["place"]) == (40, 3)
    assert (first("shortest")["step"], first("shortest")["n_tokens"]) == (5, 15)
    assert first("newest")["step"] == 40
    assert first("oldest")["step"] == 5
    assert first("best", start=31)["verdict"] == "undecided"


def test_steps_have_their_verdicts(index: RolloutIndex) -> None:
    assert index.steps(RolloutFilter(stage="zero"))[:2] == [(5, 0, 3, 1), (10, 1, 3, 0)]
    assert index.steps(RolloutFilter())[-1] == (-1, 0, 1, 0)


def test_a_problem_is_followed_through_the_steps(index: RolloutIndex) -> None:
    history = problem_history(index, "equation/5")
    assert [(one["step"], one["n_right"], one["n"]) for one in history] == [
        (5, 0, 4), (15, 1, 4), (25, 2, 4), (35, 3, 4),
    ]  # fmt: skip


def test_a_group_is_read_with_its_parts(index: RolloutIndex) -> None:
    page = group_page(index, 3)
    assert page is not None
    assert (page["step"], page["problem"]["gold"], page["has_total"]) == (15, "5", True)
    rollout = page["rollouts"][0]
    assert rollout["thinking"] == [
        {"text": "try 4. "}, {"text": "wait", "is_reflection": True}, {"text": ", no. yes"},
    ]  # fmt: skip
    assert rollout["answer"] == [{"text": "5"}]
    assert rollout["tokens"][1:] == [
            ("try 4. wait, no. yes", -2.5, 1.5), ("</think>", 0.0, 0.0), ("5", None, None),
        ]  # fmt: skip
    assert rollout["score"] - page["mean_score"] == pytest.approx(0.75)
    assert group_page(index, 99) is None


def test_text_parts_lose_no_character() -> None:
    for text in ("", "wait", "wait wait", "a wait", "다시 5", "no marks"):
        assert "".join(part["text"] for part in text_parts(text)) == text


def test_export_writes_what_fits(index: RolloutIndex) -> None:
    lines = b"".join(exported(index, RolloutFilter(verdict="right", step=30)))
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [(row["stage"], row["step"], row["correct"]) for row in rows] == [("zero", 30, True)] * 3
    assert rows[0]["problem"]["gold"] == "5"
    assert len(b"".join(exported(index, RolloutFilter())).splitlines()) == 33


def test_it_grows_with_the_file_and_begins_again_when_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    line = b'{"kind": "showcase", "stage": "base", "question": "q", "text": "5", "n_tokens": 1}\n'
    index = RolloutIndex(path)
    assert not index.refresh()
    path.write_bytes(line + line[:30])
    assert (index.refresh(), len(index), index.generation) == (True, 1, 0)
    with path.open("ab") as file:
        file.write(line[30:])
    assert (index.refresh(), len(index)) == (True, 2)
    path.write_bytes(line)
    assert (index.refresh(), len(index), index.generation) == (True, 1, 1)


def test_lines_of_any_shape_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    lines = [
        "{broken", "[]", '{"kind": "other"}', '{"kind": "group", "stage": 5}',
        '{"kind": "group", "stage": "zero", "step": "x", "problem": null, "rollouts": []}',
        '{"kind": "group", "stage": "zero", "step": 1, "problem": {}, "rollouts": [1, {}]}',
        '{"kind": "showcase", "stage": "zero", "n_tokens": -1, "correct": "yes", "reward": [1]}',
        f'{{"kind": "showcase", "stage": "zero", "n_tokens": {10**400}, "total": {10**400}}}',
        f'{{"kind": "showcase", "stage": "zero", "step": {2**70}, "total": NaN}}',
    ]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    index = RolloutIndex(path)
    index.refresh()
    assert (len(index), index.n_damaged) == (4, 2)
    page = rollout_rows(index, RolloutFilter(), "newest", 0, 10)
    assert [row["verdict"] for row in page["rows"]] == ["undecided"] * 4
    for group in range(index.n_groups):
        assert group_page(index, group) is not None


def test_the_reward_of_older_records_is_the_sum_of_their_parts() -> None:
    assert score({"reward": {"accuracy": 1.0, "format": 0.5, "language": None}}) == 1.5
    assert score({"reward": {"accuracy": 1.0}, "total": -0.5}) == -0.5


def test_a_part_that_comes_later_belongs_to_the_rollouts_that_have_it(tmp_path: Path) -> None:
    rewards: list[object] = [{"a": 1}, {"b": 2.0}, None, {"a": "x", "b": True}, {"a": -1e999}]
    lines = [
        {"kind": "showcase", "stage": "zero", "question": "?", "text": "", "reward": reward}
        for reward in rewards
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    index = RolloutIndex(path)
    index.refresh()

    def found(**wanted: object) -> list[int]:
        return index.find(RolloutFilter(**wanted), "oldest")[1]  # type: ignore[arg-type]

    assert index.parts == ["a", "b"]
    assert found(part="a") == [0]
    assert found(part="b") == [1, 3]
    assert found(part="b", max_part=1.5) == [3]
