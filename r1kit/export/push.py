"""`r1 push`: a model to the Hugging Face hub; without `--yes` it lists what it would send.

A list of names says what is sent: weights, config, tokenizer and card. Everything else stays here:
optimizer state, logs, samples, data, and `r1kit.json`. From JSON files `auto_map` is left out, with
which a folder makes other programs run code, and so are paths of this machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from r1kit.errors import CheckpointError, ConfigError, EngineError, first_line
from r1kit.files.atomic import CARD, MARKER
from r1kit.files.untrusted import read_repaired_json

SENT = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json",
    "adapter_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "chat_template.jinja", "*.gguf", "Modelfile", CARD,
)  # fmt: skip
"""names of the files of a model; nothing else of a folder is sent"""
LEFT_OUT = ("auto_map", "_name_or_path", "name_or_path")
"""keys of JSON files that are not sent"""
NO_TOKEN = (
    "There is no token for the hub on this machine: log in once with `hf auth login`, or set "
    "HF_TOKEN to a token that may write."
)
N_CARD_LINES = 24
"""lines of the card that are shown"""


@dataclass(frozen=True)
class PushOptions:
    """The options of `r1 push`."""

    model: str
    """a checkpoint, the folder of a run, a folder of `r1 export`, or one of transformers"""
    repo: str
    """id on the hub: `owner/name`"""
    is_sent: bool
    """False only lists what would be sent"""
    is_public: bool
    """of a repository that does not exist yet; False makes a private one"""


def run(options: PushOptions, console: Console) -> None:
    """List the files, the card and the license, and send them if that is asked for.

    Raises CheckpointError if there is no model or it is damaged, ConfigError without a token or
    with a repository that cannot be written, and EngineError if the hub is not reached.
    """
    from huggingface_hub import get_token

    from r1kit.model.find import HUB_ID, find_model

    if not HUB_ID.fullmatch(options.repo):
        raise ConfigError(f"--repo {options.repo} is no id of the hub; write it as owner/name.")
    folder = find_model(options.model)
    if isinstance(folder, str) or not folder.is_dir():
        raise CheckpointError(
            f"{folder} is no folder of this machine; name a checkpoint, a run, or a folder of "
            "`r1 export`."
        )
    files = sent_files(folder)
    _show(options, folder, files, console)
    if not options.is_sent:
        console.print(Text("Nothing was sent. Add --yes to send it.", "bold"))
        return
    if get_token() is None:
        raise ConfigError(NO_TOKEN)
    with console.status("Sending ..."):
        url = _send(options, folder, files)
    console.print(Text(f"Sent to {url}"), soft_wrap=True)


def sent_files(folder: Path) -> dict[str, bytes | Path]:
    """Return the files that are sent, by name: a file as it is, or the bytes it becomes.

    The card is the one in the folder, which users may have edited. Raises CheckpointError if a file
    cannot be sent: a damaged one, or an adapter whose base is a folder of this machine.
    """
    files: dict[str, bytes | Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not any(fnmatch(path.name, name) for name in SENT):
            continue
        is_small_json = path.suffix == ".json" and path.name.endswith("config.json")
        files[path.name] = _cleaned(path) if is_small_json else path
    return files


def _cleaned(path: Path) -> bytes | Path:
    """Return a config without the keys in LEFT_OUT; the file itself if it has none of them."""
    try:
        content = read_repaired_json(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({first_line(error)}); restore it.") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object; restore it.")
    base = content.get("base_model_name_or_path")
    if isinstance(base, str) and (Path(base).is_absolute() or Path(base).exists()):
        raise CheckpointError(
            f"{path} is an adapter of {base}, a folder that others do not have; send the whole "
            "model: `r1 export MODEL --to hf --out FOLDER`, then push FOLDER."
        )
    portable = {key: value for key, value in content.items() if key not in LEFT_OUT}
    return path if portable == content else (json.dumps(portable, indent=2) + "\n").encode()


def license_of(card: str) -> str:
    """Return a sentence about the license that a card states in its front matter."""
    front = card.split("\n---", 1)[0] if card.startswith("---") else ""
    stated = re.findall(r"^license(?:_name)?: *(\S+)", front, re.MULTILINE)
    if not stated:
        return (
            "The card states no license, which leaves others no right to use the model: add "
            "`license: ...` to the front matter of its README.md."
        )
    return f"License: {stated[-1]}."


def _show(
    options: PushOptions, folder: Path, files: Mapping[str, bytes | Path], console: Console
) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    total = 0
    for name, content in files.items():
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        total += size
        table.add_row(_size(size), Text(name))
    verb = "Sends" if options.is_sent else "Would send"
    visibility = "public" if options.is_public else "private"
    console.print(
        Text(f"{verb} {folder} to {options.repo} (if new, {visibility}), {_size(total)}:"),
        soft_wrap=True,
    )
    console.print(Padding(table, (0, 2)))
    unlisted = [path.name for path in sorted(folder.iterdir()) if path.name not in files]
    if unlisted:
        console.print(Text(f"Stays here: {', '.join(unlisted)}", "dim"), soft_wrap=True)
    path = folder / CARD
    card = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = card.splitlines()
    more = f"\n... {len(lines) - N_CARD_LINES} more lines" if len(lines) > N_CARD_LINES else ""
    shown = "\n".join(lines[:N_CARD_LINES]) + more if lines else "There is no model card."
    console.print(Padding(Text(shown, "dim"), (1, 2)))
    console.print(Text(license_of(card)), soft_wrap=True)


def _size(n_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} B"


def _send(options: PushOptions, folder: Path, files: Mapping[str, bytes | Path]) -> str:
    """Make the repository if it is new and commit the files, all at once; return its address."""
    import httpx
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    from r1kit.model.folder import verifying_checksums

    api = HfApi()
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    try:
        if (folder / MARKER).exists():
            with verifying_checksums(folder):
                pass
        private = None if options.is_public else True
        repo = api.create_repo(options.repo, private=private, exist_ok=True)
        message = f"{folder.name}, sent by r1kit"
        api.create_commit(repo.repo_id, operations, commit_message=message)
    except HfHubHTTPError as error:
        raise ConfigError(_refusal(options.repo, error.response)) from None
    except (OfflineModeIsEnabled, httpx.HTTPError, ConnectionError, TimeoutError) as error:
        raise EngineError(
            f"The hub cannot be reached ({first_line(error)}); try again with a network."
        ) from None
    return str(repo)


def _refusal(repo: str, response: Any) -> str:
    code = response.status_code
    if code == 401:
        return "The hub does not know the token; log in again with `hf auth login`."
    if code == 403:
        return f"The token may not write to {repo}; use one with the right to write, or your name."
    if code == 404:
        return f"The hub has no {repo}, or the token may not see it; check the name before the /."
    message = response.headers.get("X-Error-Message") or f"status {code}"
    return f"The hub refused {repo} ({message.rstrip('.')[:200]})."
