"""Tokenizers and renderers of every chat dialect, and texts to try them with."""

from collections.abc import Sequence

from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from r1kit.model import tokenizer as tokenizers
from r1kit.model.tokenizer import train_tokenizer
from r1kit.renderers import adopt, plain, r1_zero, renderer_of
from r1kit.renderers.base import Renderer
from r1kit.renderers.r1kit import SPECIAL_TOKENS
from r1kit.renderers.stream_parser import Piece, StreamParser
from r1kit.renderers.thinking import THINKING_TAGS

TOKENIZER = tokenizers.train_tokenizer(
    ["Solve 7 x + 3 = 38. 다시 확인 再试 be brief \\boxed{5}"] * 9, 320
)


RENDERER = renderer_of(TOKENIZER)


CONTROL = (*SPECIAL_TOKENS, *THINKING_TAGS)


def ids(*tokens: str) -> list[int]:
    return [TOKENIZER.convert_tokens_to_ids(token) for token in tokens]


def foreign_tokenizer(chat_template: str | None) -> PreTrainedTokenizerFast:
    words = ["<s>", "?", "Question:", "Answer:", "hi", "be", "brief", "[user]", "[bot]", "<think>"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    foreign = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="?")
    foreign.chat_template = chat_template
    return foreign


def byte_tokenizer(chat_template: str | None) -> PreTrainedTokenizerFast:
    """A base model's tokenizer: a token per byte, a BOS that it adds, an EOS, thinking tags."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    backend.add_tokens([AddedToken(tag, normalized=False) for tag in THINKING_TAGS])
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = chat_template
    return tokenizer


CHOOSES = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] "
    "{{ m.content.split('</think>')[-1] }} {% endfor %}[bot] "
)

UNTHINKING = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}[bot] "
)


RENDERERS: dict[str, Renderer] = {
    "r1kit": renderer_of(train_tokenizer(["Solve 7 x + 3 = 38. 다시 확인 \\boxed{5}"] * 9, 320)),
    "own template": renderer_of(byte_tokenizer(CHOOSES)),
    "own template, opened": renderer_of(byte_tokenizer(CHOOSES + "<think>\n")),
    "own template, instructed": renderer_of(
        byte_tokenizer(adopt.with_instruction(UNTHINKING, f"\n{adopt.INSTRUCTIONS['en']}"))
    ),
    "plain": renderer_of(byte_tokenizer(None)),
    "plain, saved": renderer_of(byte_tokenizer(adopt.BOS + plain.CHAT_TEMPLATE)),
    "r1-zero": renderer_of(byte_tokenizer(adopt.BOS + r1_zero.CHAT_TEMPLATE)),
    "r1-zero, prefilled": renderer_of(byte_tokenizer(adopt.BOS + r1_zero.PREFILLED_CHAT_TEMPLATE)),
}


fragments = st.sampled_from(
    [*THINKING_TAGS, r1_zero.ANSWER, r1_zero.END_ANSWER, "<", "</", "<thi", "nk>", "<ans", "wer>",
     "/", ">", " ", "\n", "a", "5 ", "확인"]
)  # fmt: skip


tagged_text = st.lists(fragments | st.text(max_size=3), max_size=12).map("".join)


def joined(pieces: Sequence[Piece], kind: str) -> str:
    return "".join(piece.text for piece in pieces if piece.kind == kind)


def streamed(parser: StreamParser, chunks: Sequence[str]) -> list[Piece]:
    return [piece for chunk in chunks for piece in parser.feed(chunk)] + parser.finish()
