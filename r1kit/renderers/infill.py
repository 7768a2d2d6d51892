"""Fill-in-the-middle prompts, for models whose tokenizers have tokens for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from r1kit.renderers.base import Renderer


class InfillTokens(NamedTuple):
    """The tokens around the text before and after a gap; the model writes the middle last."""

    before: str
    after: str
    middle: str
    """empty if the text after the gap comes first in the prompt"""


_KNOWN = (
    InfillTokens("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    InfillTokens("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    InfillTokens("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    InfillTokens("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    InfillTokens("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
    InfillTokens("▁<PRE>", "▁<SUF>", "▁<MID>"),
    InfillTokens("[PREFIX]", "[SUFFIX]", ""),
)
"""those of Qwen2.5-Coder and CodeGemma, StarCoder and Granite, SantaCoder, DeepSeek, GLM, CodeLlama
and Codestral"""
_ENDS = ("<|fim_pad|>", "<fim_pad>", "<|file_sep|>", "<file_sep>", "<|file_separator|>",
         "<|repo_name|>", "<repo_name>", "<|endoftext|>", "▁<EOT>")  # fmt: skip
"""further tokens with which models end the middle"""


def infill_tokens(renderer: Renderer) -> InfillTokens | None:
    """Return the tokens of the renderer's tokenizer; None if it has none."""
    vocabulary = renderer.tokenizer.get_vocab()
    fitting = (tokens for tokens in _KNOWN if all(t in vocabulary for t in tokens if t))
    return next(fitting, None)


def infill_prompt(
    renderer: Renderer, tokens: InfillTokens, before: list[int], after: str
) -> list[int]:
    """Return a prompt after which the model writes the text between `before` and `after`."""
    token_id, bos = renderer.tokenizer.convert_tokens_to_ids, renderer.tokenizer.bos_token_id
    n_bos = int(bos is not None and before[:1] == [bos])
    first = [token_id(tokens.before), *before[n_bos:]]
    second = [token_id(tokens.after), *renderer.encode_text(after)]
    parts = [*first, *second, token_id(tokens.middle)] if tokens.middle else [*second, *first]
    return [*before[:n_bos], *parts]


def infill_ends(renderer: Renderer, tokens: InfillTokens) -> tuple[str, ...]:
    """Return the tokens that end the middle, as stop strings."""
    vocabulary = renderer.tokenizer.get_vocab()
    return tuple(t for t in (*tokens, *_ENDS) if t and t in vocabulary)
