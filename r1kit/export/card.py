"""The model card: README.md of every checkpoint, in the Hugging Face format.

It is written with the checkpoint, and again when its stage has been evaluated. No checksum covers
it, so that the second writing is one atomic replacement, and so that users may edit it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData, hf_hub_download, try_to_load_from_cache

from r1kit import __version__
from r1kit.console.formatting import percent
from r1kit.console.markdown_text import escape, fenced, table
from r1kit.files.atomic import CARD, MARKER
from r1kit.files.checksums import of_file
from r1kit.files.hub import HUB_TIMEOUT_S
from r1kit.files.untrusted import replace_surrogates
from r1kit.model.find import why_not_on_hub
from r1kit.renderers.thinking import END_THINK, THINK
from r1kit.runs.run_reader import newest_checkpoint
from r1kit.runs.schemas import CheckpointFile
from r1kit.runs.stage_specs import STAGES, family
from r1kit.runs.validated import read_json
from r1kit.types import Checkpoint

TAGS = ("r1kit", "reasoning", "deepseek-r1")
INHERITED = ("license", "license_name", "license_link", "base_model", "language")
"""entries that a checkpoint takes over from the card of the model it starts from"""
MAX_CARD_CHARS = 100_000
"""longest card of another model that is read"""
WHAT = {
    "base": "The base, from which the recipe starts",
    "zero": "R1-Zero: reinforcement learning on the base, with rule-based rewards alone",
    "cold_start": "The base, fine-tuned on filtered reasoning",
    "reasoning": "Reinforcement learning on reasoning tasks, from the cold start",
    "rejection": "The base, fine-tuned on selected samples of the reasoning model",
    "preference": "A reward model, which scores answers",
    "final": "R1: reinforcement learning for all scenarios",
    "distill": "A student, trained on the samples of a larger model",
    "ablation": "A stage, repeated with changed settings",
}
"""family of stages → what its models are"""


@dataclass(frozen=True)
class CardFacts:
    """The content of a model card, before formatting."""

    run: str
    stage: str
    step: int
    lineage: Sequence[LineageRow]
    """the stages that the model comes from, itself last"""
    recipe: Mapping[str, Any]
    recipe_hash: str
    results: Mapping[str, Any]
    """stage → its entry in results.json"""
    prompt: str
    """a question as the model reads it; empty for a model that is not prompted"""
    inherited: Mapping[str, Any]
    """the `INHERITED` entries of the base's card"""


@dataclass(frozen=True)
class LineageRow:
    """A stage that a model comes from, with checksums of its weights and its data."""

    stage: str
    weights_from: str | None
    data_from: str | None
    weights: str = ""
    data: str = ""


def gather(
    run: Path,
    manifest: Mapping[str, Any],
    recipe: Mapping[str, Any],
    results: Mapping[str, Any],
    checkpoint: Checkpoint,
    prompt: str,
) -> CardFacts:
    """Collect the content of a card from a run folder; `prompt` is empty for a reward model."""
    stage, weights_from = checkpoint.stage, checkpoint.weights_from
    last = LineageRow(stage, weights_from, checkpoint.data_from)
    rows = lineage(run, manifest["finished"], last)
    source = rows[0].weights_from
    root = run / "checkpoints" / str(manifest["finished"].get(rows[0].stage, {}).get("checkpoint"))
    if source is None:
        stated: dict[str, Any] = {"language": recipe.get("languages")}
    else:
        stated = inherited(root if len(rows) > 1 else _location(source))
    reward_models = results.get("preference", {}).items()
    return CardFacts(
        run=str(recipe.get("name", run.name)),
        stage=stage,
        step=checkpoint.step,
        lineage=rows,
        recipe=recipe,
        recipe_hash=checkpoint.config_hash,
        results=results.get("stages", {}) | {f"preference/{k}": v for k, v in reward_models},
        prompt=prompt,
        inherited=stated,
    )


def render(facts: CardFacts) -> str:
    """Return the text of README.md."""
    title = f"{facts.run} · {facts.stage} · step {facts.step}"
    base = facts.lineage[0].weights_from
    started = "a new model" if base is None else f"`{_code(_name(base))}`"
    parts = [
        f"---\n{_data(facts).to_yaml().strip()}\n---",
        f"# {escape(title)}",
        f"{WHAT.get(family(facts.stage), 'A language model')}. Trained with "
        f"r1kit {__version__}, which follows the recipe of DeepSeek-R1, from {started}.",
        "## Scores",
        _scores(facts),
        *(["## Prompt", *_prompt(facts), "## Use", _use(facts)] if facts.prompt else []),
        "## Where it comes from",
        _lineage(facts),
        "## License",
        _license(facts),
    ]
    return replace_surrogates("\n\n".join(parts)) + "\n"


def lineage(
    run: Path, finished: Mapping[str, Mapping[str, Any]], last: LineageRow
) -> list[LineageRow]:
    """Return the ancestors of a stage of a run, and the stage itself, with their checksums."""
    rows: dict[str, LineageRow] = {}

    def add(row: LineageRow) -> None:
        for parent in (row.weights_from, row.data_from):
            if parent is not None and parent in finished and parent not in rows:
                path = run / "checkpoints" / str(finished[parent].get("checkpoint"))
                marker = _marker(path)
                sources = marker.get("weights_from"), marker.get("data_from")
                add(LineageRow(parent, *sources, _weights_checksum(marker)))
        data = run / "data" / f"{row.stage}.jsonl"
        rows[row.stage] = replace(row, data=_data_checksum(data))

    add(last)
    return list(rows.values())


def _data_checksum(file: Path) -> str:
    """Return the checksum of a data file, or "" if there is none; unchanged files are read once."""
    if not file.is_file():
        return ""
    stat = file.stat()
    return _checksum(file, stat.st_size, stat.st_mtime_ns)


@cache
def _checksum(file: Path, size: int, modified_ns: int) -> str:
    return of_file(file)


def inherited(model: Path | str) -> dict[str, Any]:
    """Return what a model's card states about license and base: of a folder or a hub id.

    A card that is not there or cannot be read states nothing.
    """
    file = _hub_card(model) if isinstance(model, str) else model / CARD
    try:
        text = Path(str(file)).read_text(encoding="utf-8")[:MAX_CARD_CHARS]
        stated = vars(ModelCard(text, ignore_metadata_errors=True).data)
    except Exception:  # a card is written by hand, and read with a YAML parser
        stated = {}
    facts = {key: stated[key] for key in INHERITED if _is_text(stated.get(key))}
    return facts | {"base_model": model} if isinstance(model, str) else facts


@cache
def _hub_card(hub_id: str) -> str | None:
    """Return the file of a card from the hub, or None if there is none or no network.

    The hub is asked once in a process: a download without network tries again for half a minute.
    """
    cached = try_to_load_from_cache(hub_id, CARD)
    # None is not known; a card known not to exist is another value.
    if cached is None and why_not_on_hub(hub_id) is None:
        with contextlib.suppress(Exception):  # what the hub's client raises depends on its version
            return hf_hub_download(hub_id, CARD, etag_timeout=HUB_TIMEOUT_S)
    return cached if isinstance(cached, str) else None


def _data(facts: CardFacts) -> ModelCardData:
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation" if facts.prompt else "text-classification",
        tags=[*TAGS, family(facts.stage)],
        **facts.inherited,
    )


def _scores(facts: CardFacts) -> str:
    """Return the scores beside those of the base, or a sentence that there are none."""
    own, base = facts.results.get(facts.stage), facts.results.get(facts.lineage[0].stage)
    if own is not None and "accuracy" in own:
        score = percent(own["accuracy"], own.get("stderr") or 0.0)
        return f"Right on {score} of {own.get('n', '?')} held-out examples (± one standard error)."
    evals = (own or {}).get("evals", {})
    if not evals:
        return "This checkpoint has not been evaluated."
    with_base = base is not None and facts.stage != facts.lineage[0].stage
    head = ("held-out problems", "this model", *(["base"] if with_base else []))
    rows = []
    for name, result in evals.items():
        before = base["evals"].get(name) if with_base and base is not None else None
        cells = [_score(result), *([_score(before)] if with_base else [])]
        rows.append((f"{name} (pass@1)", *cells))
    result = next(iter(evals.values()))
    settings = facts.recipe.get("eval", {})
    counts = [f"{noun} {result[key]}" for key, noun in _COUNTS.items() if result.get(key)]
    sampling = [f"{key} {settings[key]}" for key in _SAMPLING if key in settings]
    note = f"± is one standard error over problems; {', '.join([*counts, *sampling])}."
    return f"{table(head, rows)}\n\n{escape(note)}"


_COUNTS = {"n_problems": "problems", "n_completions": "completions of each"}
_SAMPLING = ("temperature", "top_p", "max_tokens")


def _score(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "–"
    return percent(result["pass_at_1"], result["stderr"] or 0.0)


def _prompt(facts: CardFacts) -> list[str]:
    begins_inside = facts.prompt.rstrip().endswith(THINK)
    thinking = (
        f"It opens `{THINK}`, so a completion begins inside the thinking and closes it."
        if begins_inside
        else f"Thinking is between `{THINK}` and `{END_THINK}`, before the answer."
    )
    sentence = (
        "A question as the model reads it, control tokens included. The saved chat template "
        f"renders it. {thinking}"
    )
    return [sentence, fenced(facts.prompt)]


def _use(facts: CardFacts) -> str:
    n_tokens = facts.recipe.get("eval", {}).get("max_tokens", 1024)
    return USE.replace("MAX_TOKENS", str(n_tokens))


def _lineage(facts: CardFacts) -> str:
    head: tuple[str, ...] = ("stage", "weights from", "data from", "its weights", "its data")
    rows: list[tuple[str, ...]] = [
        (
            row.stage,
            _name(row.weights_from) if row.weights_from else "nothing",
            row.data_from or "nothing",
            row.weights or "this folder",
            row.data or "–",
        )
        for row in facts.lineage
    ]
    if not any(row.data for row in facts.lineage):
        head, rows = head[:-1], [row[:-1] for row in rows]
    seed = facts.recipe.get("seed", 0)
    recipe = f"Recipe `{_code(facts.run)}`, seed {seed}, settings `{_code(facts.recipe_hash)}`."
    return f"{table(head, rows)}\n\n{recipe}"


def _license(facts: CardFacts) -> str:
    if facts.lineage[0].weights_from is None:
        return "The base was trained by the same run; its author chooses the license."
    stated = facts.inherited.get("license_name", facts.inherited.get("license"))
    if stated is None:
        return "The base's card was not found or states no license: look it up before you publish."
    return f"The base has the license {escape(str(stated))}, which binds this model too."


def _location(source: str) -> Path | str:
    """Return the folder of an adopted model, or its hub id."""
    path = Path(source).expanduser()
    if not path.exists():
        return source
    return newest_checkpoint(path) or path


def _is_text(value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(text, str) for text in texts)


def _name(source: str) -> str:
    """Return the name of a stage, a hub id, or a folder without the folders above it."""
    is_folder = family(source) not in STAGES and (source.count("/") != 1 or Path(source).exists())
    return Path(source).name if is_folder else source


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def _marker(checkpoint: Path) -> dict[str, Any]:
    marker: dict[str, Any] | None = read_json(checkpoint / MARKER, CheckpointFile, "restore it")
    return marker or {}


def _weights_checksum(marker: Mapping[str, Any]) -> str:
    sums = marker.get("files", {})
    weights = [
        checksum
        for name, checksum in sorted(sums.items())
        if name.endswith(".safetensors") and "/" not in name
    ]
    return ", ".join(weights)


USE = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")  # this folder
model = AutoModelForCausalLM.from_pretrained(".")
messages = [{"role": "user", "content": "What is 27 + 14?"}]
prompt = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
completion = model.generate(
    **prompt, max_new_tokens=MAX_TOKENS, do_sample=True, temperature=0.6, top_p=0.95
)
print(tokenizer.decode(completion[0]))
```

| program | command |
|---|---|
| vLLM | `vllm serve .` |
| Ollama | `r1 export . --to ollama --out ollama`, then `ollama create NAME -f ollama/Modelfile` |
| r1kit | `r1 chat .` or `r1 serve .` |"""
