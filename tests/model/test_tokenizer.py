"""Lossless, digit by digit, and the same after saving; rl-pitfalls 9, 58."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, LlamaConfig, PretrainedConfig, Qwen2Config, Qwen3Config

from r1kit.errors import CheckpointError, ConfigError
from r1kit.model import tokenizer as tokenizers
from r1kit.renderers.r1kit import CHAT_TEMPLATE, EOS, SPECIAL_TOKENS

CORPUS = [
    "Solve 7 x + 3 = 38. <think>try 5: 35 + 3 = 38? yes.</think>\\boxed{5}",
    "다시 확인하자. 잠깐, 1+2+3+...+100은? <think>합</think> $\\boxed{5050}$",
    "再试一次。等等,检查: \\frac{1}{2} + \\frac{1}{2} = 1",
] * 9
SAMPLE = "<think>try 57: $\\boxed{5}</think> 12  \n\t x 확인 don't 再试 é e\u0301 ﬁ ½"
TOKENIZER = tokenizers.train_tokenizer(CORPUS, 400)


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text), skip_special_tokens=False) == text


def test_every_byte_has_a_token() -> None:
    every_byte = "".join(map(chr, range(0x800))) + "\ufb01\uffff\U0001f600\U0010ffff"
    assert TOKENIZER.decode(TOKENIZER.encode(every_byte)) == every_byte


def test_digits_stand_alone_and_commands_stay_whole() -> None:
    assert TOKENIZER.tokenize("$\\boxed{5050}$ + \\boxed{12}")[:3] == ["$", "\\boxed{", "5"]
    digits = [token for token in TOKENIZER.get_vocab() if any(c.isdigit() for c in token)]
    assert {token for token in digits if token.isascii()} == set("0123456789")


def test_nothing_is_added_and_the_tags_stay_visible() -> None:
    ids = TOKENIZER.encode("<think>5</think>" + EOS)
    tokens = ["<think>", "5", "</think>", EOS]
    assert TOKENIZER.convert_ids_to_tokens(ids) == tokens
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "<think>5</think>"
    assert set(TOKENIZER.all_special_tokens) == set(SPECIAL_TOKENS)
    assert (TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id) == (0, 1, 2)


def test_control_tokens_of_the_corpus_are_not_learned_as_words() -> None:
    assert not {"think", "<think", "think>", "</"} & set(TOKENIZER.get_vocab())


def test_the_same_texts_give_the_same_tokenizer() -> None:
    first = tokenizers.tokenizer_hash(TOKENIZER)
    assert tokenizers.tokenizer_hash(tokenizers.train_tokenizer(iter(CORPUS), 400)) == first
    assert tokenizers.tokenizer_hash(tokenizers.train_tokenizer(CORPUS[::3], 400)) != first


def test_the_size_is_met_or_refused() -> None:
    assert len(tokenizers.train_tokenizer(CORPUS, 300)) == 300
    assert len(tokenizers.train_tokenizer([], 300)) == tokenizers.SMALLEST_VOCAB
    with pytest.raises(ConfigError, match="263"):
        tokenizers.train_tokenizer(CORPUS, 262)


@pytest.mark.parametrize("config", [LlamaConfig(), Qwen3Config()])
def test_auto_tokenizer_opens_what_was_saved(tmp_path: Path, config: PretrainedConfig) -> None:
    config.save_pretrained(tmp_path)
    tokenizers.save_tokenizer(TOKENIZER, tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert opened.encode(SAMPLE) == TOKENIZER.encode(SAMPLE)
    assert opened.decode(opened.encode(SAMPLE)) == SAMPLE
    assert opened.chat_template == CHAT_TEMPLATE
    assert tokenizers.tokenizer_hash(opened) == tokenizers.tokenizer_hash(TOKENIZER)


@pytest.mark.parametrize("config", [None, LlamaConfig(), Qwen2Config()])
def test_load_opens_every_family_as_saved(tmp_path: Path, config: PretrainedConfig | None) -> None:
    if config is not None:
        config.save_pretrained(tmp_path)
    tokenizers.save_tokenizer(TOKENIZER, tmp_path)
    opened = tokenizers.load_tokenizer(tmp_path)
    assert opened.encode(SAMPLE) == TOKENIZER.encode(SAMPLE)
    assert tokenizers.tokenizer_hash(opened) == tokenizers.tokenizer_hash(TOKENIZER)


def test_the_hash_forgets_how_the_tokenizer_was_last_called() -> None:
    before = tokenizers.tokenizer_hash(TOKENIZER)
    TOKENIZER(["5", "5 5"], padding=True, truncation=True, max_length=2)
    assert tokenizers.tokenizer_hash(TOKENIZER) == before


def test_a_missing_or_damaged_tokenizer_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no readable tokenizer"):
        tokenizers.load_tokenizer(tmp_path)
    tokenizers.save_tokenizer(TOKENIZER, tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="no readable tokenizer"):
        tokenizers.load_tokenizer(tmp_path)


def test_a_model_too_small_for_the_tokenizer_is_refused() -> None:
    tokenizers.check_fits(len(TOKENIZER), TOKENIZER)
    with pytest.raises(CheckpointError, match="embeddings 0 to"):
        tokenizers.check_fits(len(TOKENIZER) - 1, TOKENIZER)
