"""Model cards: what they say, and that hostile text in them stays text."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from r1kit.export import card
from r1kit.export.card import CardFacts, LineageRow
from r1kit.files.atomic import CARD, MARKER, seal, to_json
from r1kit.model import causal_lm
from r1kit.model.tokenizer import train_tokenizer
from r1kit.types import Checkpoint

PROMPT = "<s>A question? <think>"
HOSTILE = "x`|<script>\n---\nlicense: mit\n# [a](b) \ud83d"


def facts(**changes: Any) -> CardFacts:
    defaults: dict[str, Any] = {
        "run": "mine", "stage": "zero", "step": 30, "recipe_hash": "0123456789abcdef",
        "lineage": [
            LineageRow("base", "org/small", None, "crc32:00000001"),
            LineageRow("zero", "base", "its own samples"),
        ],
        "recipe": {"seed": 3, "eval": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64}},
        "results": {
            "base": {"evals": {"reasoning": {"pass_at_1": 0.146, "stderr": 0.036}}},
            "zero": {"evals": {"reasoning": {
                "pass_at_1": 0.49, "stderr": 0.067, "n_problems": 48, "n_completions": 2}}},
        },
        "prompt": PROMPT,
        "inherited": {"license": "apache-2.0", "base_model": "org/small"},
    }  # fmt: skip
    return CardFacts(**defaults | changes)


def front_matter(text: str) -> dict[str, Any]:
    return vars(ModelCard(text).data)


def test_a_card_has_scores_with_errors_beside_the_base_and_the_lineage_with_checksums() -> None:
    text = card.render(facts())
    assert {key: value for key, value in front_matter(text).items() if value is not None} == {
        "license": "apache-2.0", "base_model": "org/small", "library_name": "transformers",
        "pipeline_tag": "text-generation", "tags": ["r1kit", "reasoning", "deepseek-r1", "zero"],
    }  # fmt: skip
    assert "| reasoning (pass@1) | 49.0 ± 6.7 % | 14.6 ± 3.6 % |" in text
    assert "problems 48, completions of each 2, temperature 0.6" in text
    assert "| base | org/small | nothing | crc32:00000001 |" in text
    assert "| zero | base | its own samples | this folder |" in text
    assert f"```text\n{PROMPT}\n```" in text
    assert "begins inside the thinking and closes it" in text
    assert "max_new_tokens=64" in text


def test_what_is_not_known_is_not_claimed() -> None:
    text = card.render(facts(results={}, inherited={}))
    assert "has not been evaluated" in text
    assert "states no license" in text
    assert front_matter(text)["license"] is None
    new = card.render(facts(lineage=[LineageRow("base", None, "corpus")], stage="base"))
    assert "from a new model" in new
    assert "| base |" not in new.split("## Prompt")[0]


def test_the_card_of_a_reward_model_has_no_prompt_but_its_accuracy() -> None:
    stage = "preference/helpful"
    results = {stage: {"accuracy": 0.9, "stderr": 0.02, "n": 256}}
    text = card.render(facts(stage=stage, results=results, prompt=""))
    assert "Right on 90.0 ± 2.0 % of 256 held-out examples" in text
    assert "apply_chat_template" not in text
    assert front_matter(text)["pipeline_tag"] == "text-classification"


def test_hostile_names_stay_text() -> None:
    text = card.render(
        facts(
            run=HOSTILE, prompt=f"```\n{HOSTILE}", inherited={"license": HOSTILE},
            lineage=[LineageRow("base", f"/secret/home/{HOSTILE}", HOSTILE, HOSTILE, HOSTILE)],
        )
    )  # fmt: skip
    text.encode()
    assert front_matter(text)["license"] == HOSTILE
    outside = re.sub(r"(````+)text\n.*?\n\1\n", "", text.split("\n---\n", 1)[1], flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<script>", re.sub(r"(?<!\\)`[^`\n]*`", "", outside))
    assert "\nlicense: mit" not in outside
    assert "/secret" not in text


@pytest.mark.parametrize(
    ("content", "stated"),
    [
        ("---\nlicense: gemma\nlanguage: [en, ko]\ntags: [x]\n---\n# A model",
         {"license": "gemma", "language": ["en", "ko"]}),
        ("---\nlicense: [1]\n---\n", {}),
        ("---\nlicense: {\n---\n", {}),
        ("no front matter", {}),
        (None, {}),
    ],
)  # fmt: skip
def test_license_and_languages_are_those_of_the_bases_card(
    tmp_path: Path, content: str | None, stated: dict[str, Any]
) -> None:
    if content is not None:
        (tmp_path / CARD).write_text(content, encoding="utf-8")
    assert card.inherited(tmp_path) == stated


def test_without_network_the_hub_is_asked_once_and_a_card_does_not_wait() -> None:
    """A download without network tries again for half a minute, at every checkpoint."""
    code = """
import time
from r1kit.export.card import inherited

start = time.monotonic()
for _ in range(3):
    assert inherited("nobody/nothing") == {"base_model": "nobody/nothing"}
print(time.monotonic() - start)
"""
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}  # nobody listens there
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert float(output) < 8


def test_the_lineage_is_the_ancestors_in_order_with_checksums(tmp_path: Path) -> None:
    finished = {}
    sources = {
        "base": (None, "corpus"), "zero": ("base", "its own samples"),
        "cold_start": ("base", "zero"), "other": ("base", None),
    }  # fmt: skip
    for stage, (weights_from, data_from) in sources.items():
        folder = tmp_path / "checkpoints" / f"{stage}-000001"
        folder.mkdir(parents=True)
        marker = {
            "path": "", "stage": stage, "step": 1, "weights_from": weights_from,
            "data_from": data_from, "tokenizer_hash": "", "config_hash": "",
            "files": {"model.safetensors": f"crc32:{stage}", "resume/t.safetensors": "crc32:0"},
        }  # fmt: skip
        (folder / MARKER).write_text(to_json(seal(marker)), encoding="utf-8")
        finished[stage] = {"checkpoint": folder.name}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/cold_start.jsonl").write_bytes(b"123456789")
    last = LineageRow("cold_start", "base", "zero")
    assert card.lineage(tmp_path, finished, last) == [
        LineageRow("base", None, "corpus", "crc32:base"),
        LineageRow("zero", "base", "its own samples", "crc32:zero"),
        LineageRow("cold_start", "base", "zero", "", "crc32:cbf43926"),  # of these nine digits
    ]


def test_the_code_of_the_card_opens_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from r1kit.config import ModelConfig
    from r1kit.model import checkpoint

    tokenizer = train_tokenizer(["What is 27 + 14? It is 41."] * 9, 300)
    model = causal_lm.build(
        ModelConfig(n_layers=1, hidden=32, intermediate=48, n_heads=2, n_kv_heads=2),
        len(tokenizer), eos_id=1, pad_id=2, bos_id=0, seed=0,
    )  # fmt: skip
    manifest = Checkpoint("", "zero", 1, "base", None, "", "")
    text = card.render(facts(prompt="a question"))
    checkpoint.save(tmp_path / "c", model, tokenizer, manifest, card=text)
    assert (tmp_path / "c" / CARD).read_text(encoding="utf-8") == text
    (tmp_path / "c" / CARD).write_text("edited by hand", encoding="utf-8")
    checkpoint.load(tmp_path / "c")  # no checksum covers the card
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path / "c")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "README.md", "exec"), {})
    assert "What is 27 + 14?" in printed.getvalue()


def test_a_card_needs_no_package_for_reports() -> None:
    """Every run writes cards, also in an install without the extras for drawing."""
    code = "import sys; sys.modules['matplotlib'] = None; import r1kit.export.card"
    subprocess.run([sys.executable, "-c", code], check=True)
