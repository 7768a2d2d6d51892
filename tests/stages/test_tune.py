"""Fine-tuning as a stage: what is learned of a conversation, and what a short model cannot read."""

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from r1kit.config import SFTConfig, parse
from r1kit.errors import ConfigError
from r1kit.model import causal_lm, checkpoint
from r1kit.model.ranks import Ranks
from r1kit.model.tokenizer import tokenizer_hash, train_tokenizer
from r1kit.renderers import renderer_of
from r1kit.runs.run_dir import RunDir
from r1kit.stages import tune
from r1kit.stages.context import Context
from r1kit.stages.plan import PlannedStage
from r1kit.types import Checkpoint

ROW: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "2 + 3 = ?"},
        {"role": "assistant", "content": "<think>\n2, 3, 4, 5\n</think>\n\n5"},
    ],
    "provenance": {"problem": "sum/1"},
}
RECIPE: dict[str, Any] = {
    "name": "t",
    "tasks": [{"name": "arithmetic"}],
    "model": {"n_layers": 1, "hidden": 32, "intermediate": 48, "n_heads": 2, "n_kv_heads": 2,
              "max_positions": 64},
}  # fmt: skip


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["2 + 3 = ? 2, 3, 4, 5"] * 40, 300)


def test_all_of_the_answer_is_learned_and_nothing_of_the_question(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    learned = tune.as_example(ROW, renderer_of(tokenizer))
    at = learned.loss_mask.index(1)
    assert all(learned.loss_mask[at:])
    assert "2 + 3 = ?" in tokenizer.decode(learned.token_ids[:at])
    answer = tokenizer.decode(learned.token_ids[at:])
    assert answer == f"<think>\n2, 3, 4, 5\n</think>\n\n5{tokenizer.eos_token}"


def test_a_conversation_longer_than_the_model_can_read_is_a_sentence(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    made = parse(RECIPE, "t.toml")
    long = ROW | {"messages": [ROW["messages"][0], {"role": "assistant", "content": "5 " * 80}]}
    with RunDir.create_or_resume(tmp_path / "run", made) as run:
        path = run.checkpoint_path("base", 1)
        model = causal_lm.build(
            made.model, len(tokenizer), eos_id=tokenizer.eos_token_id,
            pad_id=tokenizer.pad_token_id, bos_id=tokenizer.bos_token_id, seed=0,
        )  # fmt: skip
        facts = Checkpoint("", "base", 1, None, None, tokenizer_hash(tokenizer), "")
        checkpoint.save(path, model, tokenizer, facts)
        stage = PlannedStage("cold_start", "cold_start.run", "base", "")
        with pytest.raises(ConfigError) as error:
            tune.run(Context(made, Ranks(), run, None), stage, [ROW, long, long], SFTConfig())
    output = str(error.value)
    assert output.startswith("2 of 3 conversations for cold_start are longer than the 64 tokens")
    assert "raise its model.max_positions, or lower the max_tokens" in output
