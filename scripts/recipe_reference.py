"""Generate docs/recipe.md from r1kit/config/, and the last column of the table in docs/zero.md.

    python scripts/recipe_reference.py

The docstring under a field is the meaning of its key; the allowed values and the default come from
the field itself. tests/laws/test_recipe_reference.py fails if one of the two pages is stale.
"""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from r1kit import config

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "recipe.md"
ZERO = ROOT / "docs" / "zero.md"
TINY = ROOT / "recipes" / "tiny.toml"

INTRO = """\
# The recipe, key by key

<!-- Written by scripts/recipe_reference.py from r1kit/config/: change the text there. -->

A recipe is one TOML file with all settings of a run. Only `name` and one `[[tasks]]` entry are
required; every other key has the default shown here, where `none` means that the key is left out.
An unknown key is an error that names the nearest known key. `r1 run RECIPE.toml --set key=value`
changes a key for one run; the section comes before the dot: `--set zero.n_steps=50`.

Read [recipes/tiny.toml](../recipes/tiny.toml) first. [zero.md](zero.md) explains what the keys of
`[zero]` change in a step of reinforcement learning, and [tasks.md](tasks.md) explains tasks.
"""
LIMITS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "min_length": "at least {}"}
KINDS = {int: "integer", float: "number", str: "text", bool: "true or false"}

SectionNames = dict[type[BaseModel], list[str]]
"""maps a model to the recipe tables it describes"""


def reference() -> str:
    """Return the whole page."""
    return "\n".join([INTRO, *(section(model, at) for model, at in places().items())])


def places() -> SectionNames:
    """List every table a recipe can have, the recipe itself (named "") first."""
    names: SectionNames = {config.Recipe: [""]}

    def visit(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            inner = nested(field)
            if inner is not None:
                is_list = get_origin(field.annotation) is tuple
                title = f"[[{prefix}{name}]]" if is_list else f"[{prefix}{name}]"
                names.setdefault(inner, []).append(title)
                visit(inner, f"{prefix}{name}.")

    visit(config.Recipe, "")
    return names


def nested(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a table or a list of tables."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def section(model: type[BaseModel], at: list[str]) -> str:
    """Return a section: heading, the model's docstring, and a row per key."""
    rows = []
    for name, field in model.model_fields.items():
        if nested(field) is None:
            default = "required" if field.is_required() else f"`{toml(field.default)}`"
            rows.append([f"`{name}`", allowed(field), default, meanings(model)[name]])
    titles = " and ".join(f"`{title}`" for title in at if title)
    words = inspect.cleandoc(model.__doc__ or "").replace("\n", " ")
    lines = table(["key", "allowed", "default", "meaning"], rows)
    return "\n\n".join([f"## {titles or 'At the top'}", words, lines]) + "\n"


@cache
def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Map each field of a model to the docstring under it, or to its parents' if it has none."""
    fields: dict[str, str] = {}
    for parent in model.__bases__:
        fields |= meanings(parent) if parent is not BaseModel else {}
    [definition] = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    for node, after in pairwise(definition.body):
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
            fields[ast.unparse(node.target)] = " ".join(str(ast.literal_eval(after.value)).split())
    return fields


def allowed(field: FieldInfo) -> str:
    """Return the allowed values: `integer ≥ 1`."""
    limits = [
        text.format(toml(getattr(limit, key)))
        for limit in field.metadata
        for key, text in LIMITS.items()
        if hasattr(limit, key)
    ]
    return " ".join([kind(field.annotation), ", ".join(limits)]).strip()


def kind(annotation: Any) -> str:
    """Describe a type: `text`, `"cpu" or "cuda"`, `list of number`."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return kind(arguments[0])
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{toml(value)}`" for value in arguments)
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(kind(part) for part in arguments if part is not NoneType)
    if get_origin(annotation) is tuple:
        if arguments[-1] is ...:
            return f"list of {kind(arguments[0])}"
        return f"list of {len(arguments)} {kind(arguments[0])}s"
    if get_origin(annotation) is dict:
        return "table"
    return KINDS[annotation]


def toml(value: Any) -> str:
    """Format a value as in a recipe; `none` is a key left out."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in r] for r in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_tiny(page: str) -> str:
    """Fill the last column of each row that ends in a key of the recipe and a value."""
    tiny = config.load(TINY)

    def row(match: re.Match[str]) -> str:
        value: Any = tiny
        for part in match["key"].split("."):
            value = getattr(value, part)
        return f"{match['before']}| `{match['key']}` | `{toml(value)}` |"

    return re.sub(r"^(?P<before>\|.*)\| `(?P<key>[a-z_.]+)` \| [^|]* \|$", row, page, flags=re.M)


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
    ZERO.write_text(with_tiny(ZERO.read_text(encoding="utf-8")), encoding="utf-8")
