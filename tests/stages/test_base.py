"""An adopted base, and the chat template that a recipe gives it."""

from pathlib import Path
from typing import Any

import pytest

from r1kit.config import parse
from r1kit.errors import ConfigError
from r1kit.files.atomic import CARD
from r1kit.model import causal_lm, folder
from r1kit.model.ranks import Ranks
from r1kit.renderers import renderer_of
from r1kit.renderers.plain import PlainRenderer
from r1kit.renderers.r1_zero import R1ZeroRenderer
from r1kit.runs.run_dir import RunDir
from r1kit.stages import base
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage
from r1kit.tasks import mix
from tests.renderers.dialects import byte_tokenizer

SHAPE: dict[str, Any] = {
    "n_layers": 1, "hidden": 32, "intermediate": 48, "n_heads": 2, "n_kv_heads": 2,
}  # fmt: skip
RECIPE: dict[str, Any] = {"name": "t", "tasks": [{"name": "arithmetic"}]}


@pytest.fixture
def adopted(tmp_path: Path) -> Path:
    """A base model without a chat template."""
    path = tmp_path / "adopted"
    tokenizer = byte_tokenizer(None)
    model = causal_lm.build(
        parse(RECIPE | {"model": SHAPE}, "t.toml").model, len(tokenizer), eos_id=1, pad_id=1,
        bos_id=0, seed=0,
    )  # fmt: skip
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    (path / CARD).write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("settings", "dialect", "opens"),
    [
        ({}, R1ZeroRenderer, True),
        ({"chat_template": "r1-zero"}, R1ZeroRenderer, False),
        ({"chat_template": "plain"}, PlainRenderer, False),
    ],
)
def test_a_recipe_chooses_the_chat_template_of_an_adopted_base(
    tmp_path: Path, adopted: Path, settings: dict[str, str], dialect: type, opens: bool
) -> None:
    recipe = parse(RECIPE | {"model": {"path": str(adopted)} | settings}, "t.toml")
    with RunDir.create_or_resume(tmp_path / "run", recipe) as run:
        base.run(Context(recipe, Ranks(), run, None), PlannedStage("base", "base.run", None, ""))
        tokenizer = folder.open_tokenizer(run.required_checkpoint("base"))
        card = (run.required_checkpoint("base") / CARD).read_text(encoding="utf-8")
    renderer = renderer_of(tokenizer)
    question = mix.load_tasks(recipe, "held_out").problem(0).messages
    assert f"```text\n{renderer.show_prompt(question)}\n```" in card
    assert "license: apache-2.0\n" in card
    assert f"from `{adopted.name}`" in card
    assert str(adopted.parent) not in card
    assert type(renderer) is dialect
    assert renderer.opens_thinking is opens
    assert folder.open_tokenizer(adopted).chat_template is None


@pytest.mark.parametrize("setting", [{"chat_template": "r1-zero"}, {"instruction": "Think."}])
def test_a_new_model_has_the_prompt_of_r1kit_alone(setting: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="chat_template and instruction are for an existing base"):
        parse(RECIPE | {"model": setting}, "t.toml")


def test_an_instruction_changes_the_hash_of_a_recipe_only_if_it_is_set() -> None:
    recipe = parse(RECIPE | {"model": {"path": "x"}}, "t.toml")
    assert "instruction" not in recipe.model_dump()["model"]
    instructed = parse(RECIPE | {"model": {"path": "x", "instruction": ""}}, "t.toml")
    assert instructed.hash() != recipe.hash()
