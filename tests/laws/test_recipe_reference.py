"""docs/recipe.md and the settings in docs/zero.md are what r1kit/config.py and the recipe say."""

import runpy
from pathlib import Path

import pytest
from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "recipe_reference.py"))
HOW = "run: python scripts/recipe_reference.py"


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8") == SCRIPT["reference"](), HOW


def test_the_settings_of_tiny_are_up_to_date() -> None:
    page = (ROOT / "docs" / "zero.md").read_text(encoding="utf-8")
    assert "| `zero.n_steps` |" in page
    assert page == SCRIPT["with_tiny"](page), HOW


def test_a_stale_setting_is_seen() -> None:
    [stale] = ["| steps | 10,400 | `zero.n_steps` | `0` |"]
    assert SCRIPT["with_tiny"](stale) != stale
    assert SCRIPT["with_tiny"]("| a | b | c | d |") == "| a | b | c | d |"


@pytest.mark.parametrize("model", SCRIPT["places"](), ids=lambda model: model.__name__)
def test_every_key_says_what_it_means(model: type[BaseModel]) -> None:
    keys = {name for name, field in model.model_fields.items() if not SCRIPT["nested"](field)}
    assert keys <= SCRIPT["meanings"](model).keys()


def test_values_are_written_as_in_a_recipe() -> None:
    written = [SCRIPT["toml"](v) for v in (True, 4_000_000, 512, 0.003, "a", (0.9, 0.95), None)]
    assert written == ["true", "4_000_000", "512", "0.003", '"a"', "[0.9, 0.95]", "none"]
