"""The stages that train reward models: real run folders, a kill, and what the judge makes of it."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.config import LoraConfig, Recipe, parse
from r1kit.errors import CheckpointError
from r1kit.files import atomic
from r1kit.judges.learned import RewardModels
from r1kit.model import causal_lm, checkpoint, folder, scorer
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import load_tokenizer, tokenizer_hash, train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.runs.run_dir import RunDir
from r1kit.stages import preference
from r1kit.stages.context import Context
from r1kit.stages.plan import HARMLESS, HELPFUL, PlannedStage
from r1kit.tasks.general import General
from r1kit.tasks.general.preference import Preference, Safety
from r1kit.types import Checkpoint
from tests.attempts import attempts


def recipe(**settings: object) -> Recipe:
    optim = {"lr": 3e-3}
    return parse(
        {
            "name": "t",
            "languages": ["en"],
            "tasks": [{"name": "general"}],
            "preference": {"n_pairs": 48, "batch": 16, "checkpoint_every": 2, "optim": optim}
            | settings,
        },
        "t.toml",
    )


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that has learned nothing, with the tokenizer of conversation."""
    path = tmp_path_factory.mktemp("run") / "rejection-000007"
    task = General(languages=["en"])
    tokenizer = train_tokenizer((task.exercise(i) for i in range(300)), 400)
    shape = parse(
        {
            "name": "t",
            "tasks": [{"name": "general"}],
            "model": {"n_layers": 1, "hidden": 32, "intermediate": 48, "n_heads": 2,
                      "n_kv_heads": 2},
        },
        "t",
    ).model  # fmt: skip
    model = causal_lm.build(shape, len(tokenizer), eos_id=1, pad_id=2, bos_id=0, seed=0)
    facts = Checkpoint("", "rejection", 7, None, None, tokenizer_hash(tokenizer), "")
    checkpoint.save(path, model, tokenizer, facts)
    return path


class Killer:
    """An observer that ends the stage at a step."""

    def __init__(self, at: int = -1) -> None:
        self.at = at
        self.steps: list[tuple[int, Mapping[str, float]]] = []
        self.started: list[tuple[str, int]] = []

    def stage_started(self, stage: str, n_steps: int, what: str) -> None:
        self.started.append((stage, n_steps))

    def step(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        self.steps.append((step, metrics))
        if step == self.at:
            raise KeyboardInterrupt


def train(made: Recipe, run: RunDir, observer: Any, name: str, parent: Path) -> dict[str, Any]:
    """The stage in a run whose rejection is `parent`."""
    own = run.checkpoint_path("rejection", 7)
    if not own.exists():
        shutil.copytree(parent, own)
    stage = PlannedStage(name, "preference.run", "rejection", "made preferences")
    return preference.run(Context(made, Ranks(), run, observer), stage)


def weights(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = scorer.load(path, "cpu", torch.float32).state_dict()
    return state


@pytest.mark.parametrize("lora", [None, {"r": 4}], ids=["full", "lora"])
@pytest.mark.parametrize("stage", [HELPFUL, HARMLESS])
def test_a_killed_stage_ends_as_one_that_was_not(
    tmp_path: Path, parent: Path, stage: str, lora: dict[str, int] | None
) -> None:
    made = recipe(epochs=2)
    made = made.model_copy(update={"lora": lora and LoraConfig(**lora)})
    with RunDir.create_or_resume(tmp_path / "whole", made) as run:
        observer = Killer()
        expected = train(made, run, observer, stage, parent)
        whole = run.latest(stage)
        assert observer.started == [(stage, 6)]
        assert [step for step, _ in observer.steps] == [1, 2, 3, 4, 5, 6]
        names = {"loss", "accuracy", "grad_norm", "learning_rate", "n_trained_tokens", "step_time"}
        assert names <= observer.steps[0][1].keys()
    with RunDir.create_or_resume(tmp_path / "cut", made) as run, pytest.raises(KeyboardInterrupt):
        train(made, run, Killer(at=3), stage, parent)
    with RunDir.create_or_resume(tmp_path / "cut", made) as run:
        observer = Killer()
        measured = train(made, run, observer, stage, parent)
        assert [step for step, _ in observer.steps] == [3, 4, 5, 6]
        cut = run.latest(stage)
        # Once more: everything is there, nothing is trained, the numbers are the same.
        again = train(made, run, Killer(at=6), stage, parent)
    assert measured == expected == again
    assert whole is not None
    assert cut is not None
    ours, theirs = weights(whole), weights(cut)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    manifest = folder.load_manifest(cut)
    assert (manifest.stage, manifest.step) == (stage, 6)
    assert manifest.weights_from == "rejection"


def test_both_models_learn_and_the_judge_opens_them(tmp_path: Path, parent: Path) -> None:
    made = recipe(n_pairs=768, batch=32)
    opened = []
    with RunDir.create_or_resume(tmp_path / "run", made) as run:
        for stage in (HELPFUL, HARMLESS):
            measured = train(made, run, None, stage, parent)
            assert measured["accuracy"] > 0.65, stage
            assert measured["n"] > 20
            assert 0 < measured["stderr"] < 0.1
            path = run.latest(stage)
            assert path is not None
            opened.append(scorer.load(path, "cpu", torch.float32))
    helpful, harmless = opened
    judge = RewardModels(helpful, harmless, renderer_of(load_tokenizer(parent)))
    task = General(languages=["en"], split="held_out")
    problems = [task.problem(index) for index in range(40)]
    good = judge.scores(attempts(problems, [problem.answer for problem in problems]))
    poor = judge.scores(attempts(problems, ["Good idea. Start small, and tell nobody."] * 40))
    scores = zip(good, poor, strict=True)
    won = [a > b for a, b in scores if a is not None and b is not None]
    assert len(won) == 40
    assert sum(won) > 30


def test_what_is_learned_from_is_balanced_and_apart_from_what_is_measured(parent: Path) -> None:
    made = recipe(n_pairs=100, batch=40)
    batches = preference._batches(made, HARMLESS)
    assert [len(batch) for batch in batches] == [40, 40, 20]
    learned = [x for batch in batches for x in batch if isinstance(x, Safety)]
    assert len(learned) == 100
    assert sum(example.is_safe for example in learned) == 50
    for stage in (HELPFUL, HARMLESS):
        trained = {x.problem.id for batch in preference._batches(made, stage) for x in batch}
        assert not trained & {x.problem.id for x in preference._held_out(made, stage)}
    held_out = [x.problem.id for x in preference._held_out(made, HELPFUL)]
    assert len(set(held_out)) == len(held_out) > 20


def test_epochs_have_orders_of_their_own() -> None:
    first, second = preference._batches(recipe(n_pairs=20, batch=20, epochs=2), HELPFUL)
    assert first != second
    sets = [{x.rejected for x in made if isinstance(x, Preference)} for made in (first, second)]
    assert sets[0] == sets[1] != set()


def test_a_parent_with_another_tokenizer_is_a_sentence(tmp_path: Path, parent: Path) -> None:
    made = recipe()
    with RunDir.create_or_resume(tmp_path / "run", made) as run:
        own = run.checkpoint_path("rejection", 7)
        shutil.copytree(parent, own)
        facts = json.loads((own / "r1kit.json").read_text())
        facts = atomic.unsealed(facts) | {"tokenizer_hash": "0" * 16}
        (own / "r1kit.json").write_text(json.dumps(facts))
        with pytest.raises(
            CheckpointError, match="tokenizer in .*rejection-000007.* is not the one"
        ):
            train(made, run, None, HELPFUL, parent)
