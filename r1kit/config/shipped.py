"""The recipes that ship with r1kit, by name: `tiny` is recipes/tiny.toml wherever r1kit runs.

The files are in recipes/ at the root of the repository; `r1kit/recipes` is a symlink to that
folder, and a wheel contains the files themselves. Each file begins with three comments: what the
recipe produces, how long it takes and what it needs.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from r1kit.errors import ConfigError
from r1kit.files.text_files import did_you_mean

FOLDER = Path(__file__).parents[1] / "recipes"


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe that ships with r1kit."""

    name: str
    """name on the command line: `tiny`, `distill/qwen2.5-14b`"""
    path: Path

    def about(self) -> tuple[str, str, str]:
        """Return what the recipe produces, how long it takes and what it needs."""
        what, takes, needs = self.path.read_text(encoding="utf-8").splitlines()[:3]
        return tuple(  # type: ignore[return-value]
            line.removeprefix("# ").removeprefix(label).rstrip(".")
            for line, label in ((what, ""), (takes, "Takes: "), (needs, "Needs: "))
        )


def shipped_recipes() -> list[ShippedRecipe]:
    """Return all recipes: the top-level ones first, then the paper's students in distill/."""
    files = [
        ShippedRecipe(path.relative_to(FOLDER).with_suffix("").as_posix(), path)
        for path in FOLDER.rglob("*.toml")
    ]
    return sorted(files, key=lambda recipe: ("/" in recipe.name, recipe.name))


def find_recipe(path: Path) -> Path:
    """Return the file of a recipe given as a path or as the name of a recipe that ships with r1kit.

    Raises ConfigError, with the nearest name, if there is none.
    """
    if path.exists() and not path.is_dir():
        return path
    names = {recipe.name: recipe.path for recipe in shipped_recipes()}
    if path.as_posix() in names:
        return names[path.as_posix()]
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a recipe file in it.")
    ours = path.as_posix().removeprefix("recipes/").removesuffix(".toml")
    close = difflib.get_close_matches(ours, names, n=1)
    near = f"; did you mean {close[0]}?" if close else did_you_mean(path)
    raise ConfigError(
        f"There is no recipe at {path}{near} `r1 recipes` lists the ones that come with r1kit."
    )
