"""A `[[tasks]]` entry from the options of `r1 data` and `r1 init`, and its TOML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from pydantic import ValidationError

from r1kit.config import TaskConfig, explain
from r1kit.errors import ConfigError
from r1kit.tasks.file_task import PUBLIC


def task_config(
    source: str,
    columns: Sequence[str] = (),
    verifier: str | None = None,
    held_out: str | None = None,
) -> TaskConfig:
    """Return the settings of a task. Raises ConfigError if an option has a wrong value.

    `source` is a file, a data set of the hub or the name of a public set, `columns` are ROLE=NAME,
    and `held_out` is a share, a split or another file.
    """
    pairs = [text.partition("=") for text in columns]
    if wrong := [role for role, sign, name in pairs if not (role and sign and name)]:
        raise ConfigError(f"--column {wrong[0]!r}: write ROLE=NAME, such as problem=question.")
    share: str | float | None = held_out
    with suppress(ValueError):
        share = float(held_out or "none")
    settings = {
        "name" if source in PUBLIC else "path": source,
        "verifier": verifier,
        "columns": {role: name for role, _, name in pairs},
        "held_out": share,
    }
    try:
        return TaskConfig.model_validate({key: value for key, value in settings.items() if value})
    except ValidationError as error:
        reason = explain(error, "the options", TaskConfig).replace(" the recipe:", "")
        raise ConfigError(reason) from None


def task_toml(config: TaskConfig) -> str:
    """Return the entry of a recipe for the settings that `task_config` knows."""
    key, source = ("name", config.name) if config.path is None else ("path", config.path)
    lines = ["[[tasks]]", f"{key} = {toml_text(source or '')}"]
    lines += [f"verifier = {toml_text(config.verifier)}"] if config.verifier else []
    if config.columns:
        pairs = ", ".join(f"{role} = {toml_text(name)}" for role, name in config.columns.items())
        lines.append(f"columns = {{ {pairs} }}")
    if isinstance(config.held_out, str):
        lines.append(f"held_out = {toml_text(config.held_out)}")
    elif config.held_out is not None:
        lines.append(f"held_out = {config.held_out}")
    return "\n".join(lines)


def toml_text(value: str) -> str:
    """Return a TOML string. Raises ConfigError if the text cannot be in a file."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{value!r} cannot be written into a recipe; rename it.") from None
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
