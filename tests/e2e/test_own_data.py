"""Every stage of the recipe on files alone: questions, traces, conversations, preferences."""

import json
import shutil
from pathlib import Path

import pytest

from r1kit import config
from r1kit.config import Recipe
from r1kit.errors import ConfigError, DataError, TaskError
from r1kit.model import causal_lm, checkpoint
from r1kit.model.tokenizer import tokenizer_hash, train_tokenizer
from r1kit.stages.context_length import refuse_long, sampled_lengths
from r1kit.stages.plan import plan
from r1kit.stages.required_data import ANSWERED, check_data
from r1kit.tasks import mix
from r1kit.types import Checkpoint, Json
from tests.forks import completed

OWN = Path(__file__).parents[1] / "data" / "own"
STAGES = [
    "base", "zero", "cold_start", "reasoning", "rejection", "preference/helpful",
    "preference/harmless", "final", "distill/small/base", "distill/small", "preference_eval",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: files of their own, and a model."""
    shutil.copytree(OWN, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def make_model(path: Path) -> None:
    texts = [file.read_text(encoding="utf-8") for file in sorted(OWN.glob("*.jsonl"))]
    tokenizer = train_tokenizer((line for text in texts for line in text.splitlines()), 400)
    shape = config.ModelConfig(n_layers=1, hidden=32, intermediate=48, n_heads=2, n_kv_heads=1)
    model = causal_lm.build(shape, len(tokenizer), eos_id=1, pad_id=2, bos_id=0, seed=0)
    facts = Checkpoint("", "base", 0, None, None, tokenizer_hash(tokenizer), "")
    checkpoint.save(path, model, tokenizer, facts)


def rows(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_stage_runs_on_files(folder: Path) -> None:
    make_model(folder / "model")
    command = ["python", "-m", "r1kit", "run", "own.toml", "--out", "run",
               "--set", "compute.n_processes=1"]  # fmt: skip
    done = completed(command)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((folder / "run/manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["finished"]) == STAGES
    sources = {entry["stage"]: entry["data_from"] for entry in manifest["lineage"]}
    assert sources["cold_start"] == sources["rejection"] == "traces.jsonl"
    assert sources["preference/helpful"] == "pairs.jsonl"
    assert sources["preference/harmless"] == "labels.jsonl"
    traces = rows(folder / "run/data/cold_start.traces.jsonl")
    assert len(traces) == 18
    for row in traces:
        last = row["messages"][-1]
        assert last["content"].startswith("Answer: \\boxed{")
        assert "Check:" in last["reasoning_content"]
        assert "<" not in last["content"] + last["reasoning_content"]
    assert len(rows(folder / "run/data/rejection.taught.jsonl")) == 20 + 11
    results = json.loads((folder / "run/results.json").read_text(encoding="utf-8"))
    assert set(results["preference"]) == {"helpful", "harmless"}
    final = results["stages"]["final"]["evals"]
    assert (final["reasoning"]["n_problems"], final["general"]["n_problems"]) == (10, 2)
    by_task = {row["task"] for row in rows(folder / "run/samples.jsonl") if "task" in row}
    assert by_task <= {"sums", "words", "general"}
    assert "18 of 20 conversations of traces.jsonl are used" in done.stdout
    again = completed(command)
    assert again.returncode == 0
    assert "rejection is finished" in again.stdout


def recipe(**changes: object) -> Recipe:
    return config.load(OWN / "own.toml", [f"{key}={value}" for key, value in changes.items()])


def test_a_plan_of_files_needs_no_stage_to_sample_from() -> None:
    stages = {stage.name: stage for stage in plan(recipe())}
    assert stages["cold_start"].needs == ("base",)
    assert stages["rejection"].needs == ("base",)
    assert "cold_start.sample.max_tokens" not in sampled_lengths(recipe())
    without = recipe().model_copy(update={"cold_start": None, "reasoning": None})
    assert "rejection" in [stage.name for stage in plan(without)]


def test_the_longest_question_of_a_file_must_fit(folder: Path) -> None:
    with (folder / "sums.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"question": "How many? " * 400, "answer": "1"}) + "\n")
    tasks = mix.load_tasks(config.load(Path("own.toml")), "train")
    [first, second] = tasks.longest()
    assert (first.id, len(first.messages[-1].content)) == ("sums/41", 4000)
    assert second.task == "words"
    with pytest.raises(ConfigError, match="the longest prompt, sums/41, has 900 tokens. Lower"):
        refuse_long({"zero.max_tokens": 200}, 1000, 900, "sums/41")


BROKEN = {
    "cold_start.traces": ('{"question": "no answer"}', 'line 1 has no "messages", and no answer'),
    "rejection.conversations": ('{"messages": 5}', 'line 1 has no "messages" with a role'),
    "preference.pairs": ('{"prompt": "?", "chosen": "a"}', 'has no "chosen" and "rejected"'),
    "preference.labels": (
        '{"prompt": "?", "completion": "a", "label": 7}',
        "has no true .safe. or",
    ),
    "general.prompts": ('{"chosen": "x", "rejected": "y"}', 'has no "prompt", and "chosen"'),
}


@pytest.mark.parametrize("key", list(BROKEN))
def test_a_bad_file_is_refused_before_the_run(folder: Path, key: str) -> None:
    section, name = key.split(".")
    line, says = BROKEN[key]
    (folder / "bad.jsonl").write_text(line + "\n", encoding="utf-8")
    changed = config.load(Path("own.toml"), [f'{section}.{name}="bad.jsonl"'])
    with pytest.raises(DataError, match=says):
        check_data(changed)
    missing = config.load(Path("own.toml"), [f'{section}.{name}="nowhere.jsonl"'])
    with pytest.raises(DataError, match="There is no file nowhere.jsonl"):
        check_data(missing)


def test_what_is_missing_is_said_before_the_run(folder: Path) -> None:
    def loaded(*settings: str) -> Recipe:
        return config.load(Path("own.toml"), list(settings))

    assert check_data(loaded()) == [ANSWERED]
    with pytest.raises(
        TaskError, match="fewer than 300 different held_out .*lower eval.n_problems"
    ):
        check_data(loaded("eval.n_problems=300"))
    with pytest.raises(TaskError, match="lower eval.n_general or set held_out"):
        check_data(loaded("eval.n_general=300"))
    with pytest.raises(ConfigError, match="set n_general to 0, and name a file of conversations"):
        check_data(loaded("rejection.n_general=5"))
    data = loaded().model_dump(exclude_unset=True)
    del data["preference"]["labels"]
    with pytest.raises(ConfigError, match="preference/harmless has nothing .*preference.labels"):
        check_data(config.parse(data, "t"))
    data["final"]["judge_url"] = "http://127.0.0.1:9/v1"
    assert check_data(config.parse(data, "t")) == [ANSWERED]
