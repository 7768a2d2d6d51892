"""The recipes that come with r1kit, by name: `tiny` is recipes/tiny.toml wherever r1kit runs.

The files are the ones in recipes/ at the root of the repository; `r1kit/recipes` is a link to that
folder, and a wheel holds what the link leads to. Each begins with three comments: what it makes,
how long it takes, what it needs.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from r1kit.errors import ConfigError
from r1kit.files.text_files import did_you_mean

FOLDER = Path(__file__).parents[1] / "recipes"


@dataclass(frozen=True)
class Shipped:
    """A recipe that comes with r1kit."""

    name: str
    """`tiny`, `distill/qwen2.5-14b`"""
    path: Path

    def about(self) -> tuple[str, str, str]:
        """What it makes, how long that takes, and what it needs."""
        what, takes, needs = self.path.read_text(encoding="utf-8").splitlines()[:3]
        return tuple(  # type: ignore[return-value]
            line.removeprefix("# ").removeprefix(label).rstrip(".")
            for line, label in ((what, ""), (takes, "Takes: "), (needs, "Needs: "))
        )


def shipped() -> list[Shipped]:
    """All of them: first those that need nothing, then the students of the paper."""
    found = [
        Shipped(path.relative_to(FOLDER).with_suffix("").as_posix(), path)
        for path in FOLDER.rglob("*.toml")
    ]
    return sorted(found, key=lambda recipe: ("/" in recipe.name, recipe.name))


def find_recipe(given: Path) -> Path:
    """The file a person means: a path, or the name of a recipe that comes with r1kit.

    Raises ConfigError that names what is near.
    """
    if given.exists() and not given.is_dir():
        return given
    names = {recipe.name: recipe.path for recipe in shipped()}
    if given.as_posix() in names:
        return names[given.as_posix()]
    if given.is_dir():
        raise ConfigError(f"{given} is a folder; name a recipe file in it.")
    ours = given.as_posix().removeprefix("recipes/").removesuffix(".toml")
    close = difflib.get_close_matches(ours, names, n=1)
    near = f"; did you mean {close[0]}?" if close else did_you_mean(given)
    raise ConfigError(
        f"There is no recipe at {given}{near} `r1 recipes` lists the ones that come with r1kit."
    )
