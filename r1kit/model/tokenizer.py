"""Byte-level BPE trained on the corpus, saved as a plain Hugging Face tokenizer.

Source: byte-level BPE as in GPT-2; digits are split one by one for arithmetic, as in DeepSeek-V3
and Llama. Departures: no normaliser and no prefix space, so that any text round-trips; LaTeX
commands such as `\\boxed{` are pre-tokens of their own; a digit never carries a space.

Beware: transformers 5 opens any folder of model type "qwen2" as a Qwen2Tokenizer, whatever class
the folder names. Other model types (llama, qwen3, ...) open as saved; `load_tokenizer` opens every
type as saved.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from r1kit.errors import CheckpointError, ConfigError
from r1kit.model import gguf_file
from r1kit.renderers.r1kit import ASSISTANT, BOS, CHAT_TEMPLATE, EOS, PAD, SPECIAL_TOKENS, USER
from r1kit.renderers.thinking import THINKING_TAGS

WORD = (
    r" ?\\[a-zA-Z]+\{?"  # a LaTeX command with the brace that opens its argument
    r"|\p{N}"
    r"| ?[\p{L}\p{M}]+"
    r"| ?[^\s\p{L}\p{M}\p{N}\\]+|\\"
    r"|\s+(?!\S)|\s+"
)
CONTROL = (*SPECIAL_TOKENS, *THINKING_TAGS)
AS_SAVED = PreTrainedTokenizerFast.__name__
"""The tokenizer_class of folders whose tokenizer.json defines the tokenizer completely."""
SMALLEST_VOCAB = 256 + len(CONTROL)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer of `vocab_size` tokens: the control tokens, 256 bytes, then merges.

    The same texts in the same order give the same tokenizer. A corpus with too few distinct words
    gives fewer tokens. Control tokens inside the texts are excluded from the merges.
    """
    if vocab_size < SMALLEST_VOCAB:
        raise ConfigError(
            f"model.vocab_size is {vocab_size}, but bytes and control tokens alone need "
            f"{SMALLEST_VOCAB}; set it to at least {SMALLEST_VOCAB}."
        )
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(THINKING_TAGS),
        special_tokens=[_control_token(text, special=True) for text in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(_without_control(texts), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=[USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens([_control_token(tag, special=False) for tag in THINKING_TAGS])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Write plain Hugging Face tokenizer files to the folder `path`."""
    tokenizer.save_pretrained(path)


def load_tokenizer(path: Path | str) -> PreTrainedTokenizerBase:
    """Open the tokenizer of a checkpoint folder, of a GGUF file or of a model on the hub.

    Raises CheckpointError if there is none or it cannot be read.
    """
    try:
        with gguf_file.opening(path) as (name, extra):
            if extra:
                return gguf_file.open_tokenizer_in(name, **extra)
            if get_tokenizer_config(name).get("tokenizer_class") == AS_SAVED:
                return PreTrainedTokenizerFast.from_pretrained(name)
            # Without False transformers would offer the user to run the model's own code.
            return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except CheckpointError:
        raise
    except Exception as error:  # the tokenizers library raises bare Exception on damaged files
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"There is no readable tokenizer at {path} ({reason}); "
            "name a Hugging Face model folder that has tokenizer.json."
        ) from error


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return 16 hex digits that change with vocabulary, pre-tokenizer rules or chat template."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    for left_by_the_last_call in ("padding", "truncation"):
        rules.pop(left_by_the_last_call, None)
    identity = [rules, tokenizer.special_tokens_map, tokenizer.chat_template]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def check_fits(model_vocab: int, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises CheckpointError if the tokenizer has a token the model has no embedding for."""
    largest = max(tokenizer.get_vocab().values())
    if largest >= model_vocab:
        raise CheckpointError(
            f"The tokenizer has token {largest}, but the model only has embeddings 0 to "
            f"{model_vocab - 1}; use the tokenizer that was saved with this model."
        )


def _control_token(text: str, special: bool) -> AddedToken:
    return AddedToken(text, special=special, normalized=False)


def _without_control(texts: Iterable[str]) -> Iterator[str]:
    control = re.compile("|".join(map(re.escape, CONTROL)))
    for text in texts:
        yield from filter(None, control.split(text))
