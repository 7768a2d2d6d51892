"""Scorers: what transformers scores, without padding; new ones, saved ones, and what cannot be."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from r1kit.errors import CheckpointError
from r1kit.model import attention, causal_lm, checkpoint, scorer
from r1kit.model.tokenizer import tokenizer_hash
from r1kit.types import Checkpoint
from tests.conftest import ARCHITECTURES, EOS, tiny_model

SEQUENCES = [[7], [4, 8, 15, 16, EOS], [4, 8, 15, 23, 42, 99, 1, 0, 5, EOS], [4, 8, 15, 16, 23]]


def folder(path: Path, name: str = "qwen2", pad: int | None = EOS) -> Path:
    model = tiny_model(name)
    model.config.pad_token_id = pad
    model.save_pretrained(path)
    return path


def opinionated(path: Path, name: str = "qwen2", pad: int | None = EOS) -> PreTrainedModel:
    """A scorer whose head is not zero."""
    model = scorer.from_policy(folder(path, name, pad), "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        torch.nn.init.normal_(model.score.weight)
    return model


def manifest(tokenizer: PreTrainedTokenizerFast) -> Checkpoint:
    return Checkpoint(
        "", "preference/helpful", 3, "rejection-000001", "made", tokenizer_hash(tokenizer), ""
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_a_saved_scorer_is_scored_by_transformers_as_here(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast, name: str
) -> None:
    model = opinionated(tmp_path / "policy", name)
    here = scorer.score_all(model, SEQUENCES, "cpu")
    checkpoint.save(tmp_path / "c", model, byte_tokenizer, manifest(byte_tokenizer), {"n": 1})
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "c", dtype=torch.float32)
    assert plain.config.num_labels == 1
    there = torch.stack([plain(torch.tensor([ids])).logits[0, 0] for ids in SEQUENCES])
    torch.testing.assert_close(here, there, atol=2e-5, rtol=1e-4)
    assert here.std() > 0.01
    opened = scorer.load(tmp_path / "c", "cpu", torch.float32)
    assert torch.equal(scorer.score_all(opened, SEQUENCES, "cpu"), here)
    assert opened.config._attn_implementation == attention.NAME
    assert checkpoint.load_state(tmp_path / "c") == {"n": 1}


@torch.no_grad()
def test_padded_batches_of_transformers_have_the_same_scores(tmp_path: Path) -> None:
    pad = 200
    opinionated(tmp_path / "p", pad=pad).save_pretrained(tmp_path / "c")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "c", dtype=torch.float32)
    longest = max(map(len, SEQUENCES))
    ids = torch.tensor([s + [pad] * (longest - len(s)) for s in SEQUENCES])
    padded = plain(ids, attention_mask=(ids != pad).long()).logits[:, 0]
    here = scorer.score_all(scorer.load(tmp_path / "c", "cpu", torch.float32), SEQUENCES, "cpu")
    torch.testing.assert_close(here, padded, atol=2e-5, rtol=1e-4)


def test_shared_beginnings_change_neither_scores_nor_gradients(tmp_path: Path) -> None:
    model = opinionated(tmp_path)
    sequences = [[5, 6, 7, 8, 9, tail] for tail in (1, 2, 3)] + [[5, 6, 7]]

    def learned(batches: list[list[list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
        model.zero_grad()
        got = torch.cat([scorer.score_all(model, batch, "cpu") for batch in batches])
        (got * torch.tensor([1.0, -2.0, 0.5, 3.0])).sum().backward()
        return got.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])

    together, alone = learned([sequences]), learned([[item] for item in sequences])
    for got, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_new_scorer_has_the_body_of_the_policy_and_no_opinion(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    model = scorer.from_policy(folder(tmp_path), "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not model.training
    assert scorer.score_all(model, SEQUENCES, "cpu").tolist() == [0.0] * len(SEQUENCES)
    body = AutoModelForCausalLM.from_pretrained(tmp_path).model.state_dict()
    assert all(torch.equal(body[name], weight) for name, weight in model.model.state_dict().items())


def test_the_end_of_a_text_is_no_padding(tmp_path: Path) -> None:
    """transformers would score the token before an end that is the pad token too."""
    assert scorer.from_policy(folder(tmp_path / "a"), "cpu").config.pad_token_id is None
    assert scorer.from_policy(folder(tmp_path / "b", pad=3), "cpu").config.pad_token_id == 3


def test_scores_of_a_bfloat16_scorer_are_fp32(tmp_path: Path) -> None:
    opinionated(tmp_path / "p").save_pretrained(tmp_path / "c")
    model = scorer.load(tmp_path / "c", "cpu", torch.bfloat16)
    got = scorer.score_all(model, SEQUENCES, "cpu")
    assert got.dtype == torch.float32
    got.sum().backward()


def test_an_empty_sequence_has_no_score(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        scorer.score_all(scorer.from_policy(folder(tmp_path), "cpu"), [[1, 2], []], "cpu")


def test_a_policy_is_no_scorer_and_a_damaged_policy_no_start(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lacks 1 of .* score.weight"):
        scorer.load(folder(tmp_path), "cpu", torch.float32)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        scorer.from_policy(tmp_path, "cpu")


def test_more_than_one_label_is_no_scorer(tmp_path: Path) -> None:
    model, _ = causal_lm.open_model(
        AutoModelForSequenceClassification, folder(tmp_path / "p"), torch.float32, num_labels=3
    )
    model.save_pretrained(tmp_path / "c")
    with pytest.raises(CheckpointError, match="no head for one score"):
        scorer.load(tmp_path / "c", "cpu", torch.float32)
