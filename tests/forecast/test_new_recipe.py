"""`r1 init`: a recipe for one's own model and questions, tried on a tiny model."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit import cli
from r1kit.config import load, parse
from r1kit.new_recipe import MOST_STEPS, name_of
from r1kit.tasks import mix


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "sums.jsonl"
    rows = [{"question": f"What is {n} + 3?", "answer": str(n + 3)} for n in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_the_recipe_runs_and_says_what_it_needs(
    folder: Path, questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.toml"
    command = ["init", "--model", str(folder), "--data", str(questions), "--out", str(out),
               "--hours", "0.1", "--max-tokens", "16"]  # fmt: skip
    answer = CliRunner().invoke(cli.app, command)
    assert answer.exit_code == 0, answer.output
    assert "held out" in answer.output
    output = " ".join(answer.output.split())
    # The model has random weights, and the dtype of its samples depends on the machine.
    sampled = re.search(r"The base before training: \d+ of 32 completions are right; \d+", output)
    assert sampled is not None
    assert re.search("Probably too|About right", output) is not None
    assert f"# {sampled[0]}" in out.read_text(encoding="utf-8")
    assert f"run {out}" in answer.output.replace("\n", "")
    recipe = load(out)
    for split in ("train", "held_out"):
        mix.load_tasks(recipe, split)
    assert 20 <= recipe.zero.n_steps <= MOST_STEPS
    assert recipe.zero.max_tokens == recipe.eval.max_tokens == 16
    what, takes, needs = out.read_text(encoding="utf-8").splitlines()[:3]
    assert what.startswith("# R1-Zero on")
    assert takes.startswith("# Takes: ")
    assert needs.startswith("# Needs: ")
    again = CliRunner().invoke(cli.app, command)
    assert again.exit_code == 2
    assert "exists" in again.stderr


def test_columns_verifier_and_held_out_file_are_those_of_the_options(
    folder: Path, tmp_path: Path
) -> None:
    train, test = tmp_path / "fragen.jsonl", tmp_path / "\u00fcbung.jsonl"
    for file, n in ((train, 40), (test, 9)):
        rows = [{"frage": f"{n} plus {k}?", "meta": {"l\u00f6sung": f"{n + k}"}} for k in range(n)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "mine.toml"
    command = ["init", "--model", str(folder), "--data", str(train), "--out", str(out),
               "--hours", "0.1", "--max-tokens", "16", "--no-sample", "--verifier", "exact",
               "--column", "problem=frage", "--column", "answer=meta.l\u00f6sung",
               "--held-out", str(test)]  # fmt: skip
    answer = CliRunner().invoke(cli.app, command)
    assert answer.exit_code == 0, answer.output
    assert "40 questions to train on, 9 held out" in answer.output
    [task] = load(out).tasks
    assert task.verifier == "exact"
    assert task.columns == {"problem": "frage", "answer": "meta.l\u00f6sung"}
    assert task.held_out == str(test)
    wrong = CliRunner().invoke(
        cli.app, [*command, "--out", str(tmp_path / "b.toml"), "--column", "x"]
    )
    assert wrong.exit_code == 2
    assert "write ROLE=NAME" in wrong.stderr
    never = CliRunner().invoke(
        cli.app, [*command[:5], "--out", str(tmp_path / "c.toml"), "--verifier", "maths"]
    )
    assert never.exit_code == 2
    assert "verifier" in never.stderr


def test_what_is_missing_is_one_sentence(folder: Path, questions: Path, tmp_path: Path) -> None:
    nothing = CliRunner().invoke(cli.app, ["init"])
    assert nothing.exit_code == 2
    assert nothing.stderr == "error: r1 init needs --model where it cannot ask.\n"
    for model, data in ((tmp_path / "no", questions), (folder, tmp_path / "no.jsonl")):
        out = tmp_path / "never.toml"
        options = ["--model", str(model), "--data", str(data), "--out", str(out)]
        answer = CliRunner().invoke(cli.app, ["init", *options])
        assert answer.exit_code in (2, 3)
        assert answer.stderr.startswith("error: ")
        assert not out.exists()


def test_questions_longer_than_the_context_are_refused(folder: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "long.jsonl", tmp_path / "mine.toml"
    rows = [{"question": f"{'What is it? ' * 3000}{n}", "answer": "3"} for n in range(20)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = ["init", "--model", str(folder), "--data", str(file), "--out", str(out)]
    for option in ("--no-sample", "--sample"):
        answer = CliRunner().invoke(cli.app, [*command, option])
        assert answer.exit_code != 0
        assert "context ends at" in answer.stderr or "the model ends at" in answer.stderr
        assert not out.exists()


def test_a_name_is_made_of_any_model() -> None:
    assert name_of("HuggingFaceTB/SmolLM2-135M") == "smollm2-135m-zero"
    assert name_of("./모델/") == "model-zero"
    assert name_of("models/SmolLM2-135M.Q4_1.gguf") == "smollm2-135m.q4-1-zero"
    for model in ("a/b", "x" * 500, "..", "\ud800"):
        recipe = {"name": name_of(model), "tasks": [{"name": "equation"}]}
        assert parse(tomllib.loads(f"name = {json.dumps(recipe['name'])}") | recipe, "t")


def test_the_languages_are_those_of_the_questions(folder: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "sums.jsonl", tmp_path / "mine.toml"
    wordings = ["{} 더하기 3은 얼마입니까?"] * 2 + ["What is {} plus 3?"]
    rows = [{"question": wordings[n % 3].format(n), "answer": str(n + 3)} for n in range(60)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    file.write_text(text, encoding="utf-8")
    command = ["init", "--model", str(folder), "--data", str(file), "--out", str(out)]
    answer = CliRunner().invoke(cli.app, [*command, "--max-tokens", "16", "--no-sample"])
    assert answer.exit_code == 0, answer.output
    assert "The base before training" not in answer.output
    assert load(out).languages == ("ko", "en")
