"""Questions from files: columns, verifiers, epochs, held-out rows, and rows that cannot be used."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1kit import config
from r1kit.errors import ConfigError, DataError, TaskError
from r1kit.tasks import mix
from r1kit.tasks.file_task import FileTask, file_config, held_out_source
from r1kit.tasks.row_verifiers import VERIFIERS, final_text, guess_verifier, read_tests
from r1kit.types import Json, Problem
from r1kit.verify.exact import check_exact
from r1kit.verify.math.gold import gold_kind


def write(path: Path, rows: list[Json]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def sums(n: int, start: int = 0) -> list[Json]:
    return [{"question": f"{i} + 1?", "answer": str(i + 1)} for i in range(start, start + n)]


def tasks_of(split: Any, *tasks: Json) -> mix.TaskMixture:
    return mix.load_tasks(config.parse({"name": "t", "tasks": list(tasks)}, "t"), split)


def task_of(path: str, split: Any = "train", **more: Any) -> FileTask:
    [task] = tasks_of(split, {"path": path, **more}).tasks
    assert isinstance(task, FileTask)
    return task


def asked(problem: Problem) -> str:
    return problem.messages[-1].content


def test_a_file_is_a_task(tmp_path: Path) -> None:
    task = task_of(write(tmp_path / "sums.jsonl", sums(40)))
    problem = task.problem(0)
    assert task.name == problem.task == "sums"
    number = int(problem.answer) - 1
    assert asked(problem) == f"{number} + 1?"
    assert problem.id == f"sums/{number + 1}"
    assert problem.language == "en"
    assert task.verify(problem, f"so \\boxed{{{number + 1}}}").correct is True
    assert task.verify(problem, "\\boxed{-1}").correct is False
    told = task_of(str(tmp_path / "sums.jsonl"), instruction="Box it.")
    assert asked(told.problem(0)) == f"{number} + 1? Box it."


@given(n=st.integers(2, 40), seed=st.integers(0, 5), epoch=st.integers(0, 10**6))
@settings(max_examples=25)
def test_every_row_once_an_epoch_and_the_order_is_new(
    tmp_path_factory: pytest.TempPathFactory, n: int, seed: int, epoch: int
) -> None:
    path = write(tmp_path_factory.mktemp("q") / f"q{n}.jsonl", sums(n))
    task = FileTask(config.TaskConfig(path=path), "train", seed)
    size = len(task.questions)
    ids = [task.problem(epoch * size + i).id for i in range(size)]
    assert sorted(ids) == sorted(question.id for question in task.questions)
    again = FileTask(config.TaskConfig(path=path), "train", seed)
    assert [again.problem(epoch * size + i).id for i in reversed(range(size))] == ids[::-1]


def test_epochs_differ_and_so_do_seeds(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", sums(40))
    first, second = (FileTask(config.TaskConfig(path=path), "train", seed) for seed in (0, 1))
    size = len(first.questions)
    orders = [[first.problem(e * size + i).id for i in range(size)] for e in range(2)]
    assert orders[0] != orders[1] != [second.problem(i).id for i in range(size)] != orders[0]


def test_rows_of_mixed_files_all_occur_in_an_epoch(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.jsonl", sums(30)), write(tmp_path / "two.jsonl", sums(200))
    entries: list[Json] = [
        {"path": one, "weight": 1}, {"path": two, "weight": 3}, {"name": "equation", "weight": 1},
    ]  # fmt: skip
    tasks = tasks_of("train", *entries)
    n_one = len(tasks.tasks[0].questions)  # type: ignore[attr-defined]
    drawn = [tasks.problem(i) for i in range(5 * n_one + 1000)]
    assert Counter(problem.task for problem in drawn[:1000]) == {
        "one": 200, "two": 600, "equation": 200,
    }  # fmt: skip
    of_one = [problem.id for problem in drawn if problem.task == "one"]
    for start in range(0, len(of_one) - n_one, n_one):
        assert len(set(of_one[start : start + n_one])) == n_one
    fresh = tasks_of("train", *entries)
    assert [fresh.problem(i) for i in (900, 3, 1100)] == [drawn[i] for i in (900, 3, 1100)]


@given(st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=8))
def test_shares_are_apportioned(weights: list[float]) -> None:
    counts = mix.apportioned(weights, 1000)
    assert sum(counts) == 1000
    assert min(counts) >= 1
    if min(weights) / sum(weights) > 0.001:
        assert all(
            abs(n - 1000 * w / sum(weights)) <= 1 for n, w in zip(counts, weights, strict=True)
        )


def test_the_world_alone_is_drawn_as_before() -> None:
    tasks = tasks_of("train", {"name": "equation", "weight": 2}, {"name": "series"})
    assert not tasks.is_finite
    assert [tasks.problem(i).id for i in (0, 7, 1000)] == WORLD


WORLD = ["equation/2x+6=30", "series/1+2+3+...+13", "series/1+2+3+...+50"]


def test_held_out_by_share_never_overlaps_even_if_rows_repeat(tmp_path: Path) -> None:
    rows = sums(300) + [{"question": f" {i}  + 1?", "answer": str(i + 1)} for i in range(300)]
    path = write(tmp_path / "q.jsonl", rows)
    for share, low, high in ((None, 15, 50), (0.5, 120, 180)):
        more = {} if share is None else {"held_out": share}
        train, held_out = (task_of(path, split, **more) for split in ("train", "held_out"))
        texts = [{asked(q.problem("t", t.verifier, "")) for q in t.questions}
                 for t in (train, held_out)]  # fmt: skip
        assert not texts[0] & texts[1]
        assert len(texts[0] | texts[1]) == 300
        assert low < len(texts[1]) < high
    assert train.notes == [
        f"Task q: of 600 rows of {path}, 300 with a question that occurred before left out."
    ]


def test_a_held_out_file_is_kept_out_of_training(tmp_path: Path) -> None:
    path, other = write(tmp_path / "q.jsonl", sums(30)), write(tmp_path / "h.jsonl", sums(10, 25))
    train, held_out = (task_of(path, s, held_out=other) for s in ("train", "held_out"))
    assert (len(train.questions), len(held_out.questions)) == (25, 10)
    assert "5 questions for training are also held out" in train.notes[0]
    assert held_out.problem(0).id.startswith("h/")


def test_a_tiny_file_still_holds_one_question_out(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", sums(3))
    assert len(task_of(path, "held_out").questions) == 1
    assert len(task_of(path).questions) == 2
    only = write(tmp_path / "one.jsonl", sums(1))
    with pytest.raises(TaskError, match="has no train question among the 1"):
        task_of(only)


def test_where_the_held_out_rows_are() -> None:
    assert held_out_source("a/b:main:train", "test") == "a/b:main:test"
    assert held_out_source("a/b", "test") == "a/b::test"
    assert held_out_source("a/b:main", "c/d::test") == "c/d::test"
    assert held_out_source("q.jsonl", "h.csv") == "h.csv"


def test_public_sets_have_settings_and_local_copies(tmp_path: Path) -> None:
    gsm8k = file_config(config.TaskConfig(name="gsm8k"))
    assert (gsm8k.path, gsm8k.held_out) == ("openai/gsm8k:main:train", "test")
    local = file_config(config.TaskConfig(name="gsm8k", path="train.jsonl"))
    assert (local.path, local.held_out) == ("train.jsonl", None)
    folder = file_config(config.TaskConfig(name="gsm8k", path=str(tmp_path)))
    assert (folder.path, folder.held_out) == (f"{tmp_path}:main:train", "test")
    own = file_config(config.TaskConfig(name="math", held_out=0.2))
    assert (own.held_out, own.on_bad_rows) == (0.2, "skip")


def test_gsm8k_and_math_as_published(tmp_path: Path) -> None:
    gsm8k = {"question": "Half of 4,000?", "answer": "4000/2 = <<4000/2=2000>>2000\n#### 2,000"}
    solution = "We halve: $\\frac{1}{2}$ of it is $\\boxed{\\frac{1}{4}}$, as it should be."
    math = {"problem": "Half of $\\frac{1}{2}$?", "level": "Level 1", "solution": solution}
    [first, second] = (
        task_of(write(tmp_path / f"{i}.jsonl", [row, {**row, **more}])).questions[0]
        for i, (row, more) in enumerate(((gsm8k, {"question": "?"}), (math, {"problem": "?"})))
    )
    assert first.answer == "2,000"
    assert second.answer == "\\frac{1}{4}"


COUNTDOWN = {"nums": [3, 4, 5], "target": 23}
CHOICE = {"question": "Two?", "choices": ["1", "two", "3"], "answer": 1}
MBPP = {
    "prompt": "Add.",
    "test_list": ["assert add(1, 2) == 3"],
    "code": "def add(a, b):\n return a+b",
}


@pytest.mark.parametrize(
    ("row", "verifier", "shown", "right", "wrong"),
    [
        (COUNTDOWN, "countdown", "numbers 3, 4, 5", "\\boxed{3+4*5}", "\\boxed{5*5-2}"),
        (CHOICE, "choice", "A. 1\nB. two\nC. 3", "\\boxed{B}", "\\boxed{A}"),
        ({"question": "Capital?", "answer": "Paris"}, "exact", "", "\\boxed{ paris.}", "Lyon"),
        (MBPP, "code", "```python", "```python\nadd = lambda a, b: b + a\n```",
         "```python\nadd = max\n```"),
    ],
)  # fmt: skip
def test_each_verifier_reads_its_rows(
    row: Json, verifier: str, shown: str, right: str, wrong: str, tmp_path: Path
) -> None:
    changed = {key: "?" if key in ("question", "prompt") else value for key, value in row.items()}
    changed |= {"target": 12} if "target" in row else {}
    named = {"verifier": "exact"} if verifier == "exact" else {}
    path = write(tmp_path / "q.jsonl", [row, changed])
    for split in ("train", "held_out"):
        task = task_of(path, split, **named)
        problem = task.problem(0)
        assert task.verifier is VERIFIERS[verifier]
        if task.questions[0].number == 1:
            assert shown in asked(problem)
            assert task.verify(problem, right).correct is True
            assert task.verify(problem, wrong).correct is False


def test_the_verifier_is_guessed() -> None:
    roles = (["problem", "answer"], ["problem", "options"], ["tests"], ["numbers", "target"])
    guesses = [guess_verifier(dict.fromkeys(names, "x")) for names in roles]
    assert guesses == ["math", "choice", "code", "countdown"]


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (5, "5"), (0.5, "0.5"), (["7"], "7"), (" 3 ", "3"), ("so\n#### 1,000", "1,000"),
        ("\\boxed{3}", "\\boxed{3}"),
        ("Since it is odd, the answer must be \\boxed{3}.", "3"),
    ],
)  # fmt: skip
def test_final_answers(value: Any, answer: str) -> None:
    assert final_text(value) == answer


@pytest.mark.parametrize("value", [None, "", " ", True, ["1", "2"], {"a": 1}, []])
def test_what_is_no_answer(value: Any) -> None:
    with pytest.raises(ValueError, match='has no text at "answer"'):
        final_text(value)


def test_forms_of_tests() -> None:
    pairs = {"inputs": ["1\n", ["2", "3"]], "outputs": ["2\n", "5"]}
    [first, second] = read_tests(json.dumps(pairs), None, "")
    assert (first.stdin, second.stdin, second.stdout) == ("1\n", "2\n3", "5")  # type: ignore[union-attr]
    [call] = read_tests({"inputs": [[1, 2]], "outputs": [3], "fn_name": "add"}, None, "")
    assert (call.function, call.args) == ("add", (1, 2))  # type: ignore[union-attr]
    [check] = read_tests("def check(candidate):\n    assert candidate(1) == 2", "up", "")
    assert check.entry_point == "up"  # type: ignore[union-attr]
    for bad in ("print(1)", [], [1], {"inputs": [1], "outputs": []}, None, ["assert ("]):
        with pytest.raises(ValueError, match="has "):
            read_tests(bad, None, "")


ROWS: list[Json] = [
    *sums(3),
    {"question": "No answer?"},
    {"question": ["a", "list"], "answer": "1"},
    {"question": "Odd?", "answer": {"value": 1}},
    {"question": "1/0?", "answer": "1/0"},
    {"question": "0 + 1?", "answer": "2"},
]


def test_rows_that_cannot_be_used_are_listed_or_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", ROWS)
    with pytest.raises(DataError) as caught:
        task_of(path)
    message = str(caught.value)
    for part in (
        'line 4 has no text at "answer"', 'line 5 has "question" messages without a role',
        'line 6 has no text at "answer" (it is an object)',
        "line 7 has a gold answer that cannot be decided", "'1/0'",
        '4 of 8 rows cannot be used', 'on_bad_rows = "skip"',
    ):  # fmt: skip
        assert part in message
    task = task_of(path, on_bad_rows="skip")
    assert task.notes == [
        f"Task q: of 8 rows of {path}, 3 with missing or wrongly typed values, 1 with a gold "
        "answer that the verifier refuses, 1 with a question that occurred before left out."
    ]


def test_columns_can_be_named(tmp_path: Path) -> None:
    rows = [{"frage": f"{i}?", "meta": {"loesung": [i, 0]}, "answer": "no"} for i in range(9)]
    path = write(tmp_path / "q.jsonl", rows)
    task = task_of(path, columns={"problem": "frage", "answer": "meta.loesung.0"})
    problem = task.problem(0)
    assert asked(problem).startswith(f"{problem.answer}?")
    for columns, says in (
        ({"problem": "fragen"}, "has no column 'fragen' for problem .*it has frage, meta, answer"),
        ({"frage": "problem"}, "no column 'frage' to map; there are problem, answer"),
        ({}, "no column that is known as problem; it has frage, meta, answer. Map one"),
    ):
        with pytest.raises(DataError, match=says):
            task_of(path, columns=columns)


def test_verls_rows(tmp_path: Path) -> None:
    rows = [
        {"prompt": [{"role": "system", "content": "Be brief."},
                    {"role": "user", "content": f"{i} + 1?"}],
         "reward_model": {"style": "rule", "ground_truth": str(i + 1)}}
        for i in range(5)
    ]  # fmt: skip
    problem = task_of(write(tmp_path / "q.jsonl", rows)).problem(0)
    assert [message.role for message in problem.messages] == ["system", "user"]
    assert int(problem.answer) == int(asked(problem).split()[0]) + 1


def test_settings_that_cannot_be_meant(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", sums(9))
    for task, says in (
        ({"weight": 2}, "needs a name, or the path of a file of questions"),
        ({"path": path, "held_out": 1.5}, "a share between 0 and 1"),
        ({"path": path, "verifier": "maths"}, "verifier needs"),
    ):
        with pytest.raises(ConfigError, match=says):
            config.parse({"name": "t", "tasks": [task]}, "t")
    for task, says in (
        ({"name": "equation", "verifier": "math"}, "'equation' has no 'verifier'"),
        ({"name": "equation", "path": path}, "'equation' reads no file"),
        ({"name": "own"}, "There is no task 'own'.* a file of questions needs its path"),
    ):
        with pytest.raises(TaskError, match=says):
            tasks_of("train", task)


def test_older_recipes_keep_their_hash() -> None:
    recipe = config.parse({"name": "t", "tasks": [{"name": "equation"}]}, "t")
    assert recipe.hash() == "34e7d47f106bf0c8"
    other = config.parse({"name": "t", "tasks": [{"name": "equation", "verifier": "math"}]}, "t")
    assert other.hash() != recipe.hash()


def test_words_are_compared_without_case_and_spaces() -> None:
    assert check_exact("The answer is: \\boxed{ New  York }", "new york.").correct is True
    assert check_exact("ＮＥＷ york", "New York").correct is True
    assert check_exact("York", "New York").correct is False
    assert check_exact("", "New York").correct is False
    assert check_exact("x" * 20_000, "x").correct is False
    assert check_exact("x", " . ").correct is None


@pytest.mark.parametrize(
    ("gold", "kind"),
    [("1,000", "exact"), ("\\frac{1}{2}", "exact"), ("\\boxed{x^2+1}", "exact"), ("", "refused"),
     ("1/0", "refused"), ("x" * 5000, "refused"), ("증명은 자명하다", "words"),
     ("n = 3일 때만", "refused")],
)  # fmt: skip
def test_kinds_of_golds(gold: str, kind: str) -> None:
    assert gold_kind(gold)[0] == kind
