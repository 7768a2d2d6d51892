"""The head of a causal LM, and log-probabilities through it in chunks of tokens.

In a small model with a large vocabulary the logits outweigh everything else: 2,048 tokens of a
vocabulary of 262,144 are 2 GiB in fp32, and softmax and gradients need several times that. Here a
chunk of tokens has logits at a time; the backward pass computes them again, which costs a third
more work in the head alone. Source: the fused linear cross-entropy of Liger Kernel (arXiv
2410.10989), for log-probabilities whose loss is not known yet. Departure: no kernel, so that it
runs on every device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

LogitsChunk = tuple[slice, Tensor, Tensor]
"""rows of hidden states, the scored tokens that they predict, and the row in the chunk of each"""


class Head(NamedTuple):
    """The last layer of a causal LM: logits = softcap * tanh(scale * (Wx + b) / softcap)."""

    weight: Tensor
    """[V, hidden]"""
    bias: Tensor | None
    scale: float
    softcap: float | None
    """None: logits have no cap"""

    def logits(self, hidden: Tensor) -> Tensor:
        """Return new fp32 logits [K, V] of hidden states [K, hidden]."""
        logits = F.linear(hidden, self.weight, self.bias).float()
        if self.scale != 1:
            logits.mul_(self.scale)
        if self.softcap is not None:
            logits.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits


_heads: WeakKeyDictionary[PreTrainedModel, tuple[float, float | None] | None] = WeakKeyDictionary()
"""model → scale and softcap of its head, or None if it has a head of another form"""


def max_logits(device: torch.device) -> int:
    """Return the number of logits computed at once; up to that many are computed in one piece."""
    return 2**24 if device.type == "cpu" else 2**26


def head_of(model: PreTrainedModel) -> Head | None:
    """Return the head of a model, or None if it computes its logits in another way.

    The first call for a model compares the logits of two tokens with the model's own.
    """
    linear = model.get_output_embeddings()
    if type(linear) is not nn.Linear or linear._forward_hooks or linear._forward_pre_hooks:
        return None
    if model not in _heads:
        config = model.config.get_text_config()
        scale = getattr(config, "logit_scale", None) or 1 / (
            getattr(config, "logits_scaling", None) or 1
        )
        form = float(scale), getattr(config, "final_logit_softcapping", None)
        _heads[model] = form if _agrees(model, Head(linear.weight, linear.bias, *form)) else None
    known = _heads[model]
    return None if known is None else Head(linear.weight, linear.bias, *known)


@torch.no_grad()
def _agrees(model: PreTrainedModel, head: Head) -> bool:
    """Return True if the head gives the logits that the model gives."""
    body = getattr(model, model.base_model_prefix, None)
    if body is None or body is model:
        return False
    ids = torch.arange(2, device=head.weight.device)[None]
    expected = model(input_ids=ids, use_cache=False).logits[0].float()
    actual = head.logits(body(input_ids=ids, use_cache=False).last_hidden_state[0])
    tolerance = 1e-4 if head.weight.dtype == torch.float32 else 2e-2
    return actual.shape == expected.shape and torch.allclose(
        actual, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max())
    )


def chunked_logprobs(
    head: Head, hidden: Tensor, rows: Tensor, token_ids: Tensor, temperature: float
) -> Tensor:
    """Return the fp32 log-probabilities [S] of tokens [S], each after the prefix of its row.

    `hidden` [K, hidden] has a row per prefix, and `rows` [S] the row of each token. At most
    `max_logits` logits exist at a time.
    """
    scored: Tensor = _ChunkedLogProbs.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, head.bias, rows, token_ids, head, temperature
    )
    return scored


@torch.no_grad()
def chunked_entropies(head: Head, hidden: Tensor, temperature: float) -> Tensor:
    """Return the entropies [K], in nats, of the next token after hidden states [K, hidden]."""
    parts = hidden.split(_rows_per_chunk(head))
    return torch.cat([entropies(head.logits(part).div_(temperature)) for part in parts])


def entropies(logits: Tensor) -> Tensor:
    """Return the entropies [K], in nats, of the distributions with logits [K, V]."""
    summed: Tensor = torch.special.entr(logits.softmax(-1)).sum(-1)
    return summed


class _ChunkedLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        rows: Tensor,
        token_ids: Tensor,
        head: Head,
        temperature: float,
    ) -> Tensor:
        logprobs = torch.empty(len(rows), device=hidden.device)
        totals = torch.empty(len(hidden), device=hidden.device)
        for chunk, tokens, places in _chunks(head, len(hidden), rows):
            logits = head.logits(hidden[chunk]).div_(temperature)
            totals[chunk] = logits.logsumexp(-1)
            logprobs[tokens] = logits[places, token_ids[tokens]] - totals[chunk][places]
        ctx.save_for_backward(hidden, weight, bias, rows, token_ids, totals)
        ctx.head = head.scale, head.softcap
        ctx.temperature = temperature
        return logprobs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, rows, token_ids, totals = ctx.saved_tensors
        head = Head(weight, bias, *ctx.head)
        on_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        on_weight = (
            torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        )
        on_bias = torch.zeros_like(bias, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        for chunk, tokens, places in _chunks(head, len(hidden), rows):
            grad = _on_logits(
                head, hidden[chunk], totals[chunk], places, token_ids[tokens], grads[0][tokens],
                ctx.temperature,
            )  # fmt: skip
            if on_bias is not None:
                on_bias += grad.sum(0)
            grad = grad.to(weight.dtype)
            if on_hidden is not None:
                torch.mm(grad, weight, out=on_hidden[chunk])
            if on_weight is not None:
                _add_product(on_weight, grad, hidden[chunk])
        on_weight = None if on_weight is None else on_weight.to(weight.dtype)
        on_bias = None if on_bias is None else on_bias.to(weight.dtype)
        return on_hidden, on_weight, on_bias, None, None, None, None


def _on_logits(
    head: Head,
    hidden: Tensor,
    totals: Tensor,
    places: Tensor,
    token_ids: Tensor,
    grads: Tensor,
    temperature: float,
) -> Tensor:
    """Return the gradient [K, V] of the loss on the products Wx + b of a chunk."""
    logits = head.logits(hidden)
    slope = None
    if head.softcap is not None:
        slope = logits.div(head.softcap).square_().neg_().add_(1)
    probs = logits.div_(temperature).sub_(totals[:, None]).exp_()
    sums = torch.zeros_like(totals).index_add_(0, places, grads)
    grad = probs.mul_(-sums[:, None])
    grad.index_put_((places, token_ids), grads, accumulate=True)
    grad.mul_(head.scale / temperature)
    return grad if slope is None else grad.mul_(slope)


def _add_product(total: Tensor, grad: Tensor, hidden: Tensor) -> None:
    """Add gradT @ hidden to the fp32 gradient of the weight."""
    if grad.dtype == total.dtype:
        total.addmm_(grad.T, hidden)
    else:
        total.add_(grad.T @ hidden)


def _rows_per_chunk(head: Head) -> int:
    return max(1, max_logits(head.weight.device) // len(head.weight))


def _chunks(head: Head, n_rows: int, rows: Tensor) -> Iterator[LogitsChunk]:
    step = _rows_per_chunk(head)
    for start in range(0, n_rows, step):
        chunk = slice(start, min(start + step, n_rows))
        tokens = ((rows >= chunk.start) & (rows < chunk.stop)).nonzero()[:, 0]
        yield chunk, tokens, rows[tokens] - start
