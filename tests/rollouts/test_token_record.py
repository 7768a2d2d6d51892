"""Recorded tokens join to the text that they are tokens of."""

import pytest
from transformers import PreTrainedTokenizerFast

from r1kit.model.tokenizer import train_tokenizer
from r1kit.rollouts import token_record
from r1kit.rollouts.metrics import group_record
from r1kit.rollouts.token_record import n_recorded, token_records, token_texts
from r1kit.types import Completion
from tests.groups import RIGHT, WRONG, group


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["<think>wait 다시 5</think>5"] * 4, 300)


@pytest.mark.parametrize("text", ["<think>wait</think>5", "다시 检查 🤔 5", "", "a b  c"])
def test_tokens_join_to_the_text(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    eos = [tokenizer.eos_token_id]
    completion = Completion([*ids, *eos], [-1.0] * (len(ids) + 1), text, "stop", 0)
    texts = token_texts(completion, tokenizer)
    assert "".join(texts) == text
    assert len(texts) == len(ids) + 1


def test_a_cut_character_stays_in_the_last_token(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer("5🤔", add_special_tokens=False)["input_ids"][:-1]
    text = tokenizer.decode(ids)
    assert "".join(token_texts(Completion(ids, [], text, "length", 0), tokenizer)) == text


def test_a_group_has_its_first_tokens_and_no_more(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_record, "MAX_RECORDED_TOKENS", 5)
    rollouts = [RIGHT, WRONG, RIGHT]  # 2, 3 and 2 tokens
    assert [n_recorded(rollouts[:n]) for n in range(4)] == [0, 1, 2, 2]
    records = token_records(rollouts[:2], tokenizer, [[0.12345, 1.0], [0.0, 2.0, 3.0]])
    assert [record["logprobs"] for record in records] == [[-0.5, -1.5], [-2.0, -1.0, -1.0]]
    assert [record["entropies"] for record in records] == [[0.123, 1.0], [0.0, 2.0, 3.0]]
    line = group_record("zero", 5, group(*rollouts), records)
    assert ["tokens" in rollout for rollout in line["rollouts"]] == [True, True, False]
    assert line["rollouts"][0]["extracted"] == "5"
    assert line["rollouts"][0]["total"] == 1.0
