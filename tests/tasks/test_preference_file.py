"""Preference pairs, safety labels and prompts from files, in TRL's formats."""

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit import config
from r1kit.errors import DataError
from r1kit.judges import is_harmful
from r1kit.tasks import mix
from r1kit.tasks.general.preference_file import (
    UnusableError,
    label_of,
    pair_of,
    prompt_of,
    prompt_text,
    read_examples,
)
from r1kit.types import Json

USER = {"role": "user", "content": "Hi?"}


def said(text: str) -> Json:
    return {"role": "assistant", "content": text}


PAIRS: dict[str, Json] = {
    "texts": {"prompt": "Hi?", "chosen": "Hello!", "rejected": "No."},
    "messages": {"prompt": [USER], "chosen": [said("Hello!")], "rejected": [said("No.")]},
    "implicit messages": {"chosen": [USER, said("Hello!")], "rejected": [USER, said("No.")]},
    "ultrafeedback": {
        "prompt": "Hi?", "chosen": [USER, said("Hello!")], "rejected": [USER, said("No.")],
    },
    "implicit text": {"chosen": "Hi? Hello!", "rejected": "Hi? No."},
    "hh-rlhf": {
        "chosen": "\n\nHuman: Hi?\n\nAssistant: Hello!",
        "rejected": "\n\nHuman: Hi?\n\nAssistant: No.",
    },
    "thinking": {
        "prompt": "Hi?", "chosen": "<think>Be kind.</think>Hello!",
        "rejected": [said("<think>Be kind.</think>No.")],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "thinking"])
def test_every_form_is_the_same_pair(name: str) -> None:
    pair = pair_of(PAIRS[name], "q/1")
    assert [(m.role, m.content) for m in pair.problem.messages] == [("user", "Hi?")]
    assert (pair.chosen, pair.rejected) == ("Hello!", "No.")


def test_answers_are_compared_without_their_thinking() -> None:
    row = {**PAIRS["thinking"], "rejected": "<think>Be rude.</think>No."}
    assert (pair_of(row, "q/1").chosen, pair_of(row, "q/1").rejected) == ("Hello!", "No.")


def test_hh_keeps_the_turns_before() -> None:
    start = "\n\nHuman: Hi?\n\nAssistant: Hello!\n\nHuman: How are you?\n\nAssistant:"
    pair = pair_of({"chosen": f"{start} Fine.", "rejected": f"{start} Go away."}, "q/1")
    assert [(m.role, m.content) for m in pair.problem.messages] == [
        ("user", "Hi?"), ("assistant", "Hello!"), ("user", "How are you?"),
    ]  # fmt: skip
    assert (pair.chosen, pair.rejected) == ("Fine.", "Go away.")


@pytest.mark.parametrize(
    ("row", "error", "says"),
    [
        ({"prompt": "Hi?", "chosen": "a"}, ValueError, 'no "chosen" and "rejected"'),
        ({"prompt": "Hi?", "chosen": "a", "rejected": 5}, ValueError, "neither a text nor mess"),
        (PAIRS["thinking"], ValueError, "neither a text nor messages"),
        ({"prompt": 5, "chosen": "a", "rejected": "b"}, ValueError, "no question as a text"),
        ({"chosen": "a b", "rejected": "c d"}, ValueError, "begin with none"),
        ({"chosen": [USER], "rejected": [USER]}, ValueError, "do not end with the assistant"),
        ({"chosen": [USER, said("a")], "rejected": [{**USER, "content": "?"}, said("b")]},
         ValueError, "different prompts"),
        ({"prompt": "Hi?", "chosen": "a ", "rejected": "a"}, UnusableError, "two equal answers"),
        ({"prompt": "Hi?", "chosen": "a", "rejected": "<think>so"}, UnusableError, "no|without"),
    ],
)  # fmt: skip
def test_what_is_no_pair(row: Json, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        pair_of(row, "q/1")


def test_labels_keep_the_whole_completion() -> None:
    for label, is_safe in ((True, True), (0, False), ("unsafe", False), ("Safe", True)):
        row = {"prompt": "Hi?", "completion": "<think>I plan it.</think>No.", "label": label}
        made = label_of(row, "q/1")
        assert (made.reasoning, made.answer, made.is_safe) == ("I plan it.", "No.", is_safe)
    messages = {"prompt": [USER], "completion": [said("No.")], "label": True}
    assert label_of(messages, "q/1").reasoning is None
    beaver = {"prompt": "Hi?", "response": "No.", "is_safe": False}
    assert label_of(beaver, "q/1").is_safe is False
    for wrong in (None, 2, "maybe"):
        with pytest.raises(ValueError, match='at "label"'):
            label_of({"prompt": "Hi?", "completion": "No.", "label": wrong}, "q/1")


def test_prompts_of_any_row() -> None:
    for row in (*PAIRS.values(), {"messages": [USER]}, {"question": "Hi?"}):
        assert prompt_text(prompt_of(row, "q/1")) == "Hi?"


def write(path: Path, rows: list[Json]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_no_prompt_is_on_both_sides(tmp_path: Path) -> None:
    rows = [{"prompt": f"Say {i % 60}.", "chosen": f"{i}", "rejected": "no"} for i in range(180)]
    file = read_examples(write(tmp_path / "p.jsonl", rows), pair_of)
    train, held_out = file.part("train"), file.part("held_out")
    assert len(train) + len(held_out) == 180
    texts = [{prompt_text(pair) for pair in part} for part in (train, held_out)]
    assert not texts[0] & texts[1]
    assert len(texts[1]) in range(1, 15)
    assert file.part("train", limit=7, seed=1) == file.part("train", seed=1)[:7]
    assert file.part("train", seed=1) != file.part("train", seed=2)
    one = read_examples(write(tmp_path / "one.jsonl", rows[:1]), pair_of)
    with pytest.raises(DataError, match="too few prompts"):
        one.part("train")


def test_files_of_general_prompts_are_a_task(tmp_path: Path) -> None:
    kind = write(tmp_path / "kind.jsonl", [{"prompt": f"Greet {i}."} for i in range(30)])
    harm = write(tmp_path / "harm.jsonl", [{"prompt": f"Break {i}."} for i in range(30)])
    data: dict[str, Any] = {"prompts": kind, "harmful_prompts": harm}
    recipe = config.parse({"name": "t", "tasks": [{"name": "equation"}], "general": data}, "t")
    tasks = {split: mix.general(recipe, split) for split in ("train", "held_out")}
    seen = {split: {task.problem(i).id for i in range(80)} for split, task in tasks.items()}
    assert len(seen["train"] | seen["held_out"]) == 60
    assert not seen["train"] & seen["held_out"]
    problem = next(p for i in range(80) if is_harmful(p := tasks["train"].problem(i)))
    assert problem.messages[-1].content.startswith("Break")
    assert not problem.needs_thinking
    assert tasks["train"].verify(problem, "I decline.").correct is True
    assert tasks["train"].verify(problem, " ").correct is False
