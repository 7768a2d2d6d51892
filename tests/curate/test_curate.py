"""The whole funnel: counts by hand, rows, order, and the sentence for an empty result."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.curate import (
    BenchmarkQuestions,
    FilterRules,
    Provenance,
    conversation,
    curate,
    messages_of,
    read_conversations,
)
from r1kit.curate.candidate import candidates_of
from r1kit.curate.conversations import ConversationRules, read_conversation_file
from r1kit.curate.filter_pipeline import Filter, FilterCounts, Rejection, run
from r1kit.errors import ConfigError, CurationError
from r1kit.files.atomic import replace_lines
from r1kit.files.json_lines import read_lines
from r1kit.renderers.thinking import parse
from r1kit.types import Group, Json, Message
from tests.curate.conftest import MakeGroup

ORIGIN = Provenance("runs/tiny/reasoning", seed=7)
WRONG = {"correct": False}
ALL = ["correct", "finished", "readable", "language", "pass rate", "benchmarks", "copies",
       "near copies", "per problem"]  # fmt: skip


def text(thinking: str, answer: str = "\\boxed{5}") -> str:
    return f"<think>{thinking}</think>{answer}"


@pytest.fixture
def groups(make_group: MakeGroup) -> list[Group]:
    """14 rollouts of 4 problems; what takes each stands beside it."""
    long = " ".join(f"step {i} gives {i * i}" for i in range(40))
    return [
        make_group(
            (text("two and three make five"), {"n_tokens": 8}),
            (text("Two, and three: make five!"), {"n_tokens": 5}),  # copies
            (text(long), {"n_tokens": 90}),  # per problem
            (text(long + " so"), {"n_tokens": 91}),  # near copies
            (text("three and two is five then"), {"n_tokens": 9}),
            (text("i count one two three four five"), {"n_tokens": 12}),  # per problem
            (text("it is six"), WRONG),  # correct
            id="t/1",
        ),
        make_group(text("다시 wait 잠깐"), text("more", "5 " * 200), id="t/2", question="5+1?"),
        make_group((text("cut here"), {"finish": "length"}), "\\boxed{5}", id="t/3"),
        make_group(
            text("a known one"),
            text("no", "6"),
            (text("it"), WRONG),
            id="t/4",
            question="What is 2+2?",  # benchmarks: the two right ones
        ),
    ]


def test_every_filter_counts_what_it_takes(groups: list[Group]) -> None:
    benchmarks = [BenchmarkQuestions("sums", ["what is 2+2"])]
    rows, report = (
        (result := curate(groups, ORIGIN, FilterRules(per_problem=2), benchmarks)).rows,
        result.report,
    )
    counts = {count.filter: count for count in report.counts}
    assert list(counts) == ALL
    assert {name: count.rejected for name, count in counts.items()} == {
        "correct": {"no answer": 2},
        "finished": {"cut": 1, "no thinking": 1},
        "readable": {"repeats itself": 1},
        "language": {"mixed thinking": 1},
        "pass rate": {},
        "benchmarks": {"sums exact": 2},
        "copies": {"the same words": 1},
        "near copies": {"nearly the same": 1},
        "per problem": {"more than 2 of a problem": 2},
    }
    assert (report.n_in, report.n_out) == (14, 2)
    assert [row["messages"][-1]["reasoning_content"] for row in rows] == [
        "two and three make five", "three and two is five then"]  # fmt: skip


def test_a_row_says_where_it_is_from(make_group: MakeGroup) -> None:
    group = make_group(text("two and three"), (text("six"), WRONG), question="2+3?")
    [row] = curate([group], ORIGIN).rows
    assert row == {
        "messages": [
            {"role": "user", "content": "2+3?"},
            {
                "role": "assistant",
                "content": "\\boxed{5}",
                "reasoning_content": "two and three",
            },
        ],
        "provenance": {
            "problem": "t/1",
            "task": "t",
            "language": "en",
            "gold": "5",
            "checkpoint": "runs/tiny/reasoning",
            "seed": 7,
            "verdict": {"outcome": "correct", "extracted": "5", "why": "by hand"},
            "pass_rate": 0.5,
            "n_samples": 2,
            "n_tokens": 10,
            "filters": ALL,
        },
    }


def test_rows_go_to_a_file_and_come_back(tmp_path: Path) -> None:
    output = (Message("user", "Hi\n안녕"), Message("assistant", "", None), Message("user", "7?"),
            Message("assistant", "\\boxed{7}", "try"))  # fmt: skip
    rows = [conversation(output, task="general"), conversation(output[:1])]
    replace_lines(tmp_path / "rows.jsonl", rows)
    replace_lines(tmp_path / "rows.jsonl", rows)
    assert [record for _, record in read_lines(tmp_path / "rows.jsonl")] == rows
    assert messages_of(rows[0]) == output
    other = {"role": "assistant", "content": "a", "reasoning": "b"}
    assert messages_of({"messages": [other]}) == (Message("assistant", "a", "b"),)


def test_the_same_in_gives_the_same_out(groups: list[Group]) -> None:
    item, two = curate(groups, ORIGIN), curate(groups, ORIGIN)
    assert json.dumps(item.rows) == json.dumps(two.rows)
    assert item.report == two.report


def test_the_prompt_opened_the_thinking(make_group: MakeGroup) -> None:
    group = make_group("two and three</think>5")
    opened = [
        dataclasses.replace(rollout, parsed=parse(rollout.completion.text, opened=True))
        for rollout in group.rollouts
    ]
    [row] = curate([dataclasses.replace(group, rollouts=opened)], ORIGIN).rows
    assert row["messages"][-1]["reasoning_content"] == "two and three"
    with pytest.raises(CurationError, match="no thinking"):
        curate([group], ORIGIN)


def test_pass_rates_choose_the_problems(make_group: MakeGroup) -> None:
    hard = make_group(text("lucky"), *[(text(f"n{i}"), WRONG) for i in range(9)], id="t/hard")
    easy = make_group(text("one"), text("two"), id="t/easy")
    fair = make_group(text("fair"), (text("no"), WRONG), id="t/fair")
    result = curate(
        [hard, easy, fair], ORIGIN, FilterRules(lowest_pass_rate=0.2, highest_pass_rate=0.9)
    )
    assert [row["provenance"]["problem"] for row in result.rows] == ["t/fair"]
    [count] = [count for count in result.report.counts if count.filter == "pass rate"]
    assert count.rejected == {"too easy": 2, "too hard": 1}


def test_nothing_left_is_an_error_that_names_the_filters(make_group: MakeGroup) -> None:
    group = make_group((text("a"), WRONG), (text("b"), {"finish": "length"}), text("다시"))
    with pytest.raises(CurationError) as raised:
        curate([group], ORIGIN)
    assert str(raised.value) == (
        "No conversation is left of 3 rollouts: correct rejected 1 of 3 (no answer 1); finished "
        "rejected 1 of 2 (cut 1); language rejected 1 of 1 (mixed thinking 1). Sample more of each "
        "problem, or loosen the rule of 'language', which rejected the last ones."
    )
    with pytest.raises(CurationError, match="no rollout"):
        curate([], ORIGIN)


def test_the_table_and_the_dict(make_group: MakeGroup) -> None:
    group = make_group(text("fine"), (text("a"), WRONG), question="What is 3+2?")
    report = curate(
        [group], ORIGIN, benchmarks=[BenchmarkQuestions("sums", ["what is 2+2"])]
    ).report
    lines = report.table().splitlines()
    assert lines[0].split() == ["filter", "in", "rejected", "kept", "reasons"]
    assert lines[1].split(None, 4) == ["correct", "2", "1", "1", "no answer 1"]
    assert lines[6].split(None, 4) == ["benchmarks", "1", "0", "1", "noted: sums template 1"]
    assert lines[10].split() == ["kept", "2", "1", "50.0%"]
    assert lines[12] == "  benchmarks, sums template: “what is # + #” is in question 0"
    actual = json.loads(json.dumps(report.as_dict()))
    assert actual["n_in"], actual["n_out"] == (2, 1)
    assert actual["counts"][0]["rejected"] == {"no answer": 1}


@given(st.lists(st.sampled_from(["take", "note", "both", "pass"]), max_size=12))
def test_a_funnel_keeps_order_and_adds_up(kinds: list[Any]) -> None:
    remarks: dict[Any, Rejection | None] = {  # strings do for candidates
        "take": Rejection("a"),
        "note": Rejection("b", "e", is_note=True),
        "pass": None,
        "both": Rejection("c"),
    }
    step = Filter("any", lambda given: [remarks[kind] for kind in given])
    remaining, report = run(kinds, [step, step])
    assert remaining == [kind for kind in kinds if kind in ("note", "pass")]
    first, second = report.counts
    assert isinstance(first, FilterCounts)
    assert first.n_in - first.n_out == sum(first.rejected.values())
    assert (second.n_in, second.n_out, second.rejected) == (len(remaining), len(remaining), {})
    assert first.noted.get("b", 0) == kinds.count("note")


def test_an_empty_group_is_no_draft(make_group: MakeGroup) -> None:
    assert candidates_of([make_group()]) == []


def test_conversations_are_read_as_people_write_them(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    line = json.dumps({"messages": turns})
    file = tmp_path / "taught.jsonl"
    file.write_bytes(f"{line}\r\n\r\n{line}".encode("utf-8-sig"))
    first, second = read_conversations(file)
    assert [message.content for message in messages_of(first)] == ["1+1?", "2"]
    assert second["provenance"] == {"problem": "taught/3"}
    half = line.replace("1+1?", "\\ud800")
    file.write_text(f"{line}\n[]\n{half}\n" + '{"messages": [{"role": "user"}]}\n')
    with pytest.raises(ConfigError, match="line 2 .*; line 3 has half .*; line 4 has no") as bad:
        read_conversations(file)
    assert "line 1" not in str(bad.value)


def test_worked_solutions_are_traces(tmp_path: Path) -> None:
    rows = [
        {"question": "Half of 48?", "answer": "48/2 = <<48/2=24>>24 clips.\n#### 24"},
        {"problem": "Half of 3?", "solution": "It is $\\frac{3}{2}$, so \\boxed{\\frac{3}{2}}.",
         "answer": "\\frac{3}{2}"},
        {"problem": "Two?", "answer": "\\boxed{2}", "prompt": "Two?", "completion": "2"},
    ]  # fmt: skip
    file = tmp_path / "solved.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    turns = [messages_of(row)[-1] for row in read_conversations(file)]
    assert [(turn.content, turn.reasoning) for turn in turns] == [
        ("\\boxed{24}", "48/2 = 24 clips."),
        ("\\boxed{\\frac{3}{2}}", "It is $\\frac{3}{2}$, so \\boxed{\\frac{3}{2}}."),
        ("2", None),
    ]
    file.write_text(json.dumps({"question": "Two?", "answer": "#### 2"}))
    assert messages_of(read_conversations(file)[0])[-1].content == "#### 2"


def test_conversations_are_drawn_and_counted(tmp_path: Path) -> None:
    def row(i: int, thinking: str = "so") -> Json:
        return {"prompt": f"What is {i}?", "completion": f"<think>{thinking}</think>{i}"}

    rows = [row(i) for i in range(50)] + [row(3), row(60, " "), {"prompt": "?", "response": "x"}]
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    held_out = [BenchmarkQuestions("held-out", ["What is 7?"])]
    rules = ConversationRules(True, held_out, ("exact",), 10, seed=1)
    made = read_conversation_file(str(file), rules)
    assert made.n_rows == 53
    assert made.unusable == {
        "that occurred before": 1, "without thinking": 2, "with a question of held-out": 1,
    }  # fmt: skip
    names = [item["provenance"]["problem"] for item in made.rows]
    assert len(names) == len(set(names)) == 10
    assert names == sorted(names, key=lambda name: int(name.split("/")[1]))
    assert read_conversation_file(str(file), rules).rows == made.rows
    others = read_conversation_file(str(file), dataclasses.replace(rules, seed=2)).rows
    assert others != made.rows
    everything = read_conversation_file(str(file), dataclasses.replace(rules, limit=None)).rows
    assert len(everything) == 49
    assert all(item in everything for item in made.rows)
