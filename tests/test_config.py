"""Recipes that cannot be meant are refused with sentences that say what to do."""

from pathlib import Path

import pytest

from r1kit.config import Recipe, load, parse
from r1kit.errors import ConfigError

MINIMAL = 'name = "t"\n[[tasks]]\nname = "equation"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def refused(tmp_path: Path, text: str, overrides: list[str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_a_minimal_recipe_loads_and_overrides_are_toml(tmp_path: Path):
    recipe = load(
        write(tmp_path, MINIMAL),
        ["zero.n_steps=7", "zero.optim.lr=3e-4", "zero.loss=dapo", 'languages=["ko"]'],
    )
    assert recipe.zero.n_steps == 7
    assert recipe.zero.optim.lr == 3e-4
    assert recipe.zero.loss == "dapo"
    assert recipe.languages == ("ko",)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("[zero]\nn_step = 5", "unknown key 'zero.n_step'; did you mean 'n_steps'?"),
        ("[zero.optim]\nlearning = 5", "unknown key 'zero.optim.learning'"),
        ("[zeros]\nn_steps = 5", "unknown key 'zeros'; did you mean 'zero'?"),
        ("[compute]\nqqqq = 1", "known keys:"),
        ('[zero]\nn_steps = "many"', "zero.n_steps: "),
        ("[zero]\nn_completions = 1", "zero.n_completions: "),
        ('[zero]\nloss = "ppo"', "zero.loss: "),
        ("[model]\nhidden = 100\nn_heads = 3", "hidden (100) must be an even multiple of n_heads"),
        ("[model]\nn_kv_heads = 3", "must be a multiple of n_kv_heads (3)"),
    ],
)
def test_a_key_that_cannot_be_meant_is_named(tmp_path: Path, extra: str, told: str):
    message = refused(tmp_path, f"{MINIMAL}{extra}\n")
    assert told in message
    assert "recipe.toml" in message


def test_an_unknown_key_in_a_list_names_its_nearest(tmp_path: Path):
    message = refused(tmp_path, 'name = "t"\n[[tasks]]\nname = "equation"\nlevels = 2\n')
    assert "did you mean 'level'?" in message


def test_missing_keys_are_named(tmp_path: Path):
    assert "'name' is missing" in refused(tmp_path, '[[tasks]]\nname = "equation"\n')
    assert "'tasks' is missing" in refused(tmp_path, 'name = "t"\n')


def test_several_errors_are_told_together(tmp_path: Path):
    message = refused(tmp_path, f"{MINIMAL}[zero]\nn_step = 5\ntemperature = 0\n")
    assert "n_steps" in message
    assert "zero.temperature" in message


def test_files_that_are_not_recipes(tmp_path: Path):
    assert "not valid TOML" in refused(tmp_path, "name = ")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path / "bytes.toml")
    with pytest.raises(ConfigError, match="There is no recipe at"):
        load(tmp_path / "nothing.toml")
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("zero.n_steps", "--set takes key=value"),
        ("=5", "--set takes key=value"),
        ("name.x=5", "name is not a section"),
        ("zero.n_stepz=5", "did you mean 'n_steps'?"),
        ("zero.n_steps=abc", "zero.n_steps: "),
        ("tasks.level=2", "tasks is not a section"),
    ],
)
def test_a_bad_override_is_a_sentence(tmp_path: Path, override: str, told: str):
    assert told in refused(tmp_path, MINIMAL, [override])


def test_the_hash_sees_what_decides_the_result_and_nothing_else():
    def recipe(**extra: object) -> Recipe:
        return parse({"name": "t", "tasks": [{"name": "equation"}], **extra}, "t")

    same = [recipe(), recipe(compute={"threads": 2}), recipe(cost={"core_hour": 1.0})]
    assert len({item.hash() for item in same}) == 1
    assert recipe(seed=1).hash() != recipe().hash()
    assert recipe(zero={"n_steps": 5}).hash() != recipe().hash()


def test_a_table_written_in_part_keeps_the_defaults_of_its_stage():
    recipe = parse(
        {
            "name": "t",
            "tasks": [{"name": "equation"}],
            "base": {"optim": {"lr": 1e-3}},
            "zero": {"optim": {"warmup_steps": 3}},
        },
        "t",
    )
    assert (recipe.base.optim.optimizer, recipe.base.optim.lr) == ("muon", 1e-3)
    assert recipe.base.optim.schedule == "wsd"
    assert (recipe.zero.optim.optimizer, recipe.zero.optim.schedule) == ("adamw", "constant")


def test_there_is_at_least_one_process():
    with pytest.raises(ConfigError, match="n_processes"):
        parse({"name": "t", "tasks": [{"name": "series"}], "compute": {"n_processes": 0}}, "t")
