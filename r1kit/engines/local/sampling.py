"""Sampling: from logits to tokens and their exact log-probabilities.

The order is temperature, then top-k, then top-p, as in transformers and vLLM. The random numbers
come from counter_rng.py.
Departure: temperature 0 is greedy, and its log-probabilities are those of temperature 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from r1kit.model import kernels
from r1kit.types import TopLogprobs

NOT_FINITE = (
    "The model's logits are not finite: its weights are damaged or training has "
    "diverged; go back to an earlier checkpoint and lower the learning rate."
)
_HEADS = (8, 64)
"""numbers of likeliest tokens to try before the whole vocabulary is sorted"""


@dataclass(frozen=True, slots=True)
class BatchSamplingParams:
    """The sampling parameters of R rows."""

    temperature: Tensor
    """[R] float32; 1 for greedy rows"""
    greedy: Tensor | None
    """[R] bool; None if no row is greedy"""
    cut: Tensor | None
    """[R'] indices of rows with top-k or top-p; None if there are none"""
    top_k: Tensor
    """[R] int64; vocabulary size or more disables it"""
    top_p: Tensor
    """[R] float32; 2 disables it (1 could still truncate, because of rounding)"""


def sample(logits: Tensor, params: BatchSamplingParams, u: Tensor) -> tuple[Tensor, Tensor]:
    """Sample one token per row by inverting the cumulative distribution at u.

    logits [R, V] float32, u [R] -> tokens [R] int64, their log-probabilities [R] float32 after
    temperature, top-k and top-p; NaN if the logits of a row are not finite.
    """
    is_looped = params.cut is None and logits.device.type == "cpu"
    return (_looped if is_looped else _in_torch)(logits, params, u)


def _in_torch(logits: Tensor, params: BatchSamplingParams, u: Tensor) -> tuple[Tensor, Tensor]:
    scores = logits / params.temperature[:, None]
    if params.cut is not None:
        rows = params.cut
        scores[rows] = _truncate(scores[rows], params.top_k[rows], params.top_p[rows])
    probs = scores.softmax(-1)
    tokens = _invert(probs, u[:, None])
    if params.greedy is not None:
        tokens = torch.where(params.greedy[:, None], logits.argmax(-1, keepdim=True), tokens)
    # Relative to the likeliest token, because the sampled token's probability may be too small to
    # keep its precision.
    below = (scores.gather(-1, tokens) - scores.amax(-1, keepdim=True))[:, 0]
    return tokens[:, 0], below + probs.amax(-1).log()


def top_logprobs(
    logits: Tensor,
    params: BatchSamplingParams,
    n_tops: dict[int, int],
    sampled: tuple[Tensor, Tensor],
) -> list[TopLogprobs]:
    """Return the likeliest tokens that can be sampled, for the rows in `n_tops` (row → how many).

    `sampled` is the result of `sample` for all rows; its log-probabilities are copied exactly.
    """
    rows = torch.tensor(list(n_tops), device=logits.device)
    scores = logits[rows] / params.temperature[rows, None]
    if params.cut is not None:
        scores = _truncate(scores, params.top_k[rows], params.top_p[rows])
    likeliest = scores.log_softmax(-1).topk(max(n_tops.values()))
    columns = (*(column[rows] for column in sampled), likeliest.indices, likeliest.values)
    per_row = zip(*(column.tolist() for column in columns), strict=True)
    return [
        [
            (token, logprob if token == sampled_token else value)
            for token, value in zip(tokens[:n], values[:n], strict=True)
            if value > -torch.inf
        ]
        for n, (sampled_token, logprob, tokens, values) in zip(
            n_tops.values(), per_row, strict=True
        )
    ]


def _looped(logits: Tensor, params: BatchSamplingParams, u: Tensor) -> tuple[Tensor, Tensor]:
    greedy = np.zeros(0, np.bool_) if params.greedy is None else params.greedy.numpy()
    tokens, logprobs = np.empty(len(logits), np.int64), np.empty(len(logits), np.float32)
    kernels.sample(
        logits.contiguous().numpy(), params.temperature.numpy(), greedy, u.numpy(), tokens, logprobs
    )
    return torch.from_numpy(tokens), torch.from_numpy(logprobs)


def _invert(probs: Tensor, u: Tensor) -> Tensor:
    """Return [R, 1] the tokens at which the cumulative sum of probs [R, V] passes u [R, 1].

    Two levels, blocks and tokens, because a cumulative sum is slow: 2 sqrt(V) terms instead of V.
    """
    vocab = probs.shape[-1]
    size = 2 ** (vocab.bit_length() // 2)
    blocks = F.pad(probs, (0, -vocab % size)).unflatten(-1, (-1, size))
    sums = blocks.sum(-1).cumsum(-1)
    block, rest = _pass(sums, u * sums[:, -1:])
    token, _ = _pass(blocks.take_along_dim(block[:, :, None], 1)[:, 0].cumsum(-1), rest)
    # Beyond the vocabulary only if the row is NaN, which its log-probability will show.
    tokens: Tensor = block * size + token
    return tokens.clamp_(max=vocab - 1)


def _pass(sums: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    """Return [R, 1] the first index whose cumulative sum passes the point, and the remainder.

    The remainder is the point minus the previous sum. A point that rounding put at or past the last
    sum is moved just below it, so that the entry found always has a positive probability.
    """
    last = sums[:, -1:]
    point = torch.minimum(point, torch.nextafter(last, torch.zeros_like(last)))
    index = torch.searchsorted(sums, point, right=True).clamp_(max=sums.shape[-1] - 1)
    before = sums.gather(-1, (index - 1).clamp_(min=0))
    return index, point - torch.where(index > 0, before, 0.0)


def _truncate(scores: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Apply top-k, then top-p: set the scores of all other tokens to -inf, in place.

    In most rows a few of the likeliest tokens determine the threshold; sorting the whole vocabulary
    takes longer than the model.
    """
    undecided = torch.arange(len(scores), device=scores.device)
    for size in _HEADS:
        if not len(undecided) or size >= scores.shape[-1]:
            break
        some = scores[undecided]
        threshold, is_sure = _least(some, top_k[undecided], top_p[undecided], size)
        scores[undecided[is_sure]] = some.masked_fill_(some < threshold, -torch.inf)[is_sure]
        undecided = undecided[~is_sure]
    if len(undecided):
        scores[undecided] = _truncate_sorted(scores[undecided], top_k[undecided], top_p[undecided])
    return scores


def _least(scores: Tensor, top_k: Tensor, top_p: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return [R, 1] the lowest score kept, and [R] True if `size` likeliest tokens determine it.

    They do not if more tokens are kept, if the total probability of the top k is unknown, or if
    the last token kept is as likely as the next.
    """
    head = scores.topk(size).values
    among = torch.arange(size, device=scores.device) < top_k[:, None]
    total = torch.where(
        top_k[:, None] <= size,
        head.masked_fill(~among, -torch.inf).logsumexp(-1, keepdim=True),
        scores.logsumexp(-1, keepdim=True),
    )
    probs = (head - total).exp()
    in_nucleus = among & (probs.cumsum(-1) - probs < top_p[:, None])
    n = in_nucleus.sum(-1, keepdim=True)
    least, after = (head.gather(-1, (n - back).clamp(0, size - 1)) for back in (1, 0))
    is_known = (top_k <= size) | (top_k >= scores.shape[-1])
    return least, is_known & ((n < size) & (after < least))[:, 0]


def _truncate_sorted(scores: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    ordered, tokens = scores.sort(dim=-1, descending=True, stable=True)
    ranks = torch.arange(scores.shape[-1], device=scores.device)
    ordered = ordered.masked_fill(ranks >= top_k[:, None], -torch.inf)
    probs = ordered.softmax(-1)
    before = probs.cumsum(-1) - probs
    ordered = ordered.masked_fill(before >= top_p[:, None], -torch.inf)
    return torch.empty_like(scores).scatter_(-1, tokens, ordered)
