"""Loaders run against files with the fields that the sets have on the hub."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from r1kit.errors import ConfigError, DataError
from r1kit.evals.load import content_hash, load_set
from r1kit.evals.prompts import worded
from r1kit.evals.protocols import PROTOCOLS, find_protocol
from r1kit.evals.suite import BENCHMARKS, SUITES, find_benchmarks
from r1kit.types import Message
from tests.evals.rows import ROWS, write

READ = {
    "gsm8k": ["5", "3", "2,000"],
    "math500": ["\\frac{1}{2}", "\\left( 3, \\frac{\\pi}{2} \\right)"],
    "aime24": ["25", "204"],
    "aime25": ["070", "588"],
    "aime26": ["277", "62"],
    "mmlu": ["C", "A", "A"],
    "mmlu-redux": ["B", "D"],
    "mmlu-pro": ["I"],
    "ceval": ["C"],
    "cmmlu": ["B"],
    "cnmo": ["$\\frac{1}{2}$"],
    "hrm8k": ["5.0"],
    "hrm8k-en": ["5.0"],
    "kmmlu": ["A"],
    "ifeval": [""],
    "livecodebench": ["", ""],
    "codeforces": [""],
}
"""benchmark → its gold answers in rows.py"""


@pytest.mark.parametrize("name", READ)
def test_a_file_with_the_hubs_fields_is_read(name: str, tmp_path: Path) -> None:
    result = load_set(BENCHMARKS[name], write(tmp_path))
    assert [problem.answer for problem in result.problems] == READ[name]
    assert result.faults == []
    assert len({problem.id for problem in result.problems}) == len(result.problems)


def test_the_prompt_of_the_paper_is_the_question_and_the_directive(tmp_path: Path) -> None:
    result = load_set(BENCHMARKS["math500"], write(tmp_path))
    questions = {problem.messages[-1].content for problem in result.problems}
    for problem in result.prompted(PROTOCOLS["r1-paper"], None):
        assert len(problem.messages) == 1
        assert problem.meta["question"] in questions
        assert problem.messages[-1].content == (
            f"{problem.meta['question']}\nPlease reason step by step, and put your final answer "
            "within \\boxed{}."
        )


def test_options_are_lettered_and_braces_in_a_question_stay(tmp_path: Path) -> None:
    problem = load_set(BENCHMARKS["mmlu"], write(tmp_path)).problems[0]
    text = worded(problem, PROTOCOLS["r1-paper"].template("mmlu", "choice"))
    assert "LETTER is one of ABCD" in text
    assert text.endswith("Find the degree of Q(sqrt(2)).\n\nA) 0\nB) 4\nC) 2\nD) 6")
    assert worded(problem, "{options}{other}").endswith("D) 6{other}")
    strange = dataclasses.replace(problem, messages=(Message("user", "{options} {x}"),))
    assert worded(strange, "{question}!") == "{options} {x}!"


def test_a_limit_chooses_by_hash_and_a_larger_one_contains_it(tmp_path: Path) -> None:
    result = load_set(BENCHMARKS["world"], None)
    few, more = result.chosen(10), result.chosen(30)
    assert more[:10] == few
    assert len({problem.meta["subject"] for problem in more}) > 2
    assert result.chosen(None) == sorted(result.problems, key=lambda p: (content_hash(p), p.id))


def test_the_hash_of_the_data_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    first = load_set(BENCHMARKS["gsm8k"], write(tmp_path, "gsm8k_test.jsonl")).data_hash
    lines = (tmp_path / "gsm8k_test.jsonl").read_text().splitlines()
    (tmp_path / "gsm8k_test.jsonl").write_text("\n".join(lines[::-1]))
    assert load_set(BENCHMARKS["gsm8k"], tmp_path).data_hash == first
    (tmp_path / "gsm8k_test.jsonl").write_text("\n".join(lines[1:]))
    assert load_set(BENCHMARKS["gsm8k"], tmp_path).data_hash != first


def test_a_folder_as_the_hub_has_it_is_read(tmp_path: Path) -> None:
    parts = (("main", "test", 3), ("main", "train", 2), ("socratic", "test", 1))
    for configuration, split, n in parts:
        folder = tmp_path / "gsm8k" / configuration
        folder.mkdir(parents=True, exist_ok=True)
        rows = [json.dumps(row) for row in ROWS["gsm8k_test.jsonl"][:n]]
        (folder / f"{split}-00000-of-00001.jsonl").write_text("\n".join(rows))
    result = load_set(BENCHMARKS["gsm8k"], tmp_path)
    assert len(result.problems) == 3
    assert result.source == str(tmp_path / "gsm8k")


def test_rows_that_cannot_be_used_are_counted_and_the_others_read(tmp_path: Path) -> None:
    rows = [*ROWS["gsm8k_test.jsonl"], {"question": "no answer"}, {"question": 5, "answer": "5"}]
    lines = [json.dumps(row) for row in rows] + [
        "not JSON",
        '{"question": "\\ud83d", "answer": "5"}',
    ]
    (tmp_path / "gsm8k.jsonl").write_text("\n".join(lines))
    result = load_set(BENCHMARKS["gsm8k"], tmp_path)
    assert len(result.problems) == 3
    assert [number for number, _ in sorted(result.faults)] == [4, 5, 6, 7]


def test_a_changed_schema_is_a_sentence_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "gsm8k.jsonl").write_text('{"prompt": "1+1?", "target": "2"}\n')
    with pytest.raises(DataError, match='schema may have changed.*has no text at "question"'):
        load_set(BENCHMARKS["gsm8k"], tmp_path)


def test_missing_data_names_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="hf download Maxwell-Jia/AIME_2024 --repo-type dataset"):
        load_set(BENCHMARKS["aime24"], tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        load_set(BENCHMARKS["aime24"], tmp_path / "nothing")


def test_the_options_of_gpqa_are_shuffled_the_same_way_in_every_process(tmp_path: Path) -> None:
    problems = load_set(BENCHMARKS["gpqa"], write(tmp_path)).problems
    for problem, right in zip(problems, ("proton", "T"), strict=True):
        options = problem.meta["options"]
        assert options["ABCD".index(problem.answer)] == right
        assert all(option == option.strip() for option in options)
    assert [problem.answer for problem in problems] == ["D", "C"]


def test_a_window_chooses_problems_by_their_month(tmp_path: Path) -> None:
    data = write(tmp_path)
    paper = load_set(BENCHMARKS["livecodebench"], data)
    assert [p.meta["date"][:7] for p in paper.problems] == ["2024-08", "2024-12"]
    assert paper.n_left_out == 1
    assert {test.compare for p in paper.problems for test in p.meta["tests"]} == {"livecodebench"}
    [[spec], _] = find_benchmarks("livecodebench:2024-07:2024-08")
    assert len(load_set(spec, data).problems) == 2
    assert spec.hub.endswith("release_v6:test")
    for wrong in ("livecodebench:2024", "gsm8k:2024-07:2024-08"):
        with pytest.raises(ConfigError, match="no benchmark"):
            find_benchmarks(wrong)


def test_korean_and_chinese_questions_have_their_language_and_prompt(tmp_path: Path) -> None:
    data = write(tmp_path)
    for name, language, words in (
        ("kmmlu", "ko", "정답"),
        ("ceval", "zh", "答案"),
        ("hrm8k", "ko", "최종 답"),
    ):
        [problem] = load_set(BENCHMARKS[name], data).prompted(PROTOCOLS["r1-paper"], None)
        assert problem.language == language
        assert words in problem.messages[-1].content


def test_every_benchmark_with_rows_has_a_source_a_licence_and_a_test(tmp_path: Path) -> None:
    data = write(tmp_path)
    for spec in BENCHMARKS.values():
        if spec.generate is None:
            assert spec.hub.count(":") == 2
            assert spec.licence
            assert load_set(spec, data).problems


def test_suites_are_chosen_by_name() -> None:
    specs, optional = find_benchmarks("gsm8k, r1")
    assert specs[0].name == "gsm8k"
    assert optional == set(SUITES["r1"])
    assert len(specs) == len(SUITES["r1"]) + 1
    assert find_benchmarks("r1,aime24")[1] == set(SUITES["r1"]) - {"aime24"}
    for wrong, sentence in (
        ("gsm9k", "no benchmark 'gsm9k'"),
        ("", "empty"),
        ("aider", "toolchains"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            find_benchmarks(wrong)


def test_a_changed_protocol_says_so_in_its_title() -> None:
    protocol = find_protocol("r1-paper")
    assert protocol.changed(temperature=None, max_tokens=None) == protocol
    changed = protocol.changed(max_tokens=256, temperature=0.0)
    assert changed.title == "r1-paper (max_tokens 256, temperature 0.0)"
    assert (changed.sampling.max_tokens, changed.sampling.temperature) == (256, 0.0)
    assert protocol.changed(max_tokens=32_768) == protocol
    with pytest.raises(ConfigError, match="r1-paper, open-r1"):
        find_protocol("r2")
