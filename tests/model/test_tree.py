"""Equal beginnings are equal nodes, and nothing else is."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from r1kit.model.logprobs import scored_logits, token_logprobs
from r1kit.model.tree import prefix_tree


def flat(sequences: list[list[int]]) -> tuple[np.ndarray, list[int]]:
    return np.array(list(chain.from_iterable(sequences))), [len(sequence) for sequence in sequences]


def test_by_hand() -> None:
    tree = prefix_tree(*flat([[5, 6, 8], [5, 6, 7], [5, 6]]))
    assert tree is not None
    # In the order of their tokens: [5, 6], [5, 6, 7], [5, 6, 8].
    assert tree.first.tolist() == [6, 7, 5, 2]
    assert tree.node.tolist() == [0, 1, 3, 0, 1, 2, 0, 1]


def test_no_tree_where_little_is_shared() -> None:
    assert prefix_tree(*flat([[1, 2, 3, 4, 5, 6], [2, 2, 3, 4, 5, 6]])) is None
    assert prefix_tree(*flat([[1, 2, 3]])) is None


SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=9)


@given(SEQUENCES)
def test_as_many_nodes_as_different_beginnings(sequences: list[list[int]]) -> None:
    ids, lengths = flat(sequences)
    beginnings = [tuple(s[: i + 1]) for s in sequences for i in range(len(s))]
    tree = prefix_tree(ids, lengths)
    if tree is None:
        assert len(set(beginnings)) > 0.9 * len(ids)
        return
    assert len(tree.first) == len(set(beginnings))
    # One node for one beginning, whose first token is of that beginning.
    assert len(set(zip(tree.node.tolist(), beginnings, strict=True))) == len(tree.first)
    assert [beginnings[tree.first[node]] for node in tree.node] == beginnings


PROMPT, OTHER = [9, 8, 7, 6, 5], [9, 8, 1]
GROUPS = [
    [*PROMPT, 1, 2, 3],
    [*OTHER, 4],
    [*PROMPT, 1, 2, 3],
    [*PROMPT, 1, 2, 4, 4, 4, 2, 1, 7, 7, 7, 7, 7, 3],
    [*PROMPT, 2],
    [*OTHER, 4, 4],
    [*OTHER, 3, 3, 3],
]
PROMPTS = [5, 3, 5, 5, 5, 3, 3]


def test_log_probabilities_and_gradients_are_those_of_single_sequences(
    any_model: PreTrainedModel,
) -> None:
    ids, lengths = flat(GROUPS)
    tree = prefix_tree(ids, lengths)
    assert tree is not None
    assert len(tree.first) == 26
    stream = torch.from_numpy(ids)
    mask = torch.cat([torch.arange(n) >= p for n, p in zip(lengths, PROMPTS, strict=True)])
    weights = torch.linspace(-1, 1, int(mask.sum()))
    parts = zip(stream.split(lengths), mask.split(lengths), strict=True)
    together = token_logprobs(any_model, stream, lengths, mask, 0.7)
    alone = [token_logprobs(any_model, item, [len(item)], scored, 0.7) for item, scored in parts]
    results = []
    for logprobs in (together, torch.cat(alone)):
        any_model.zero_grad()
        (logprobs * weights).sum().backward()
        grads = [p.grad.flatten() for p in any_model.parameters() if p.grad is not None]
        results.append((logprobs.detach(), torch.cat(grads)))
    (shared, shared_grad), (single, single_grad) = results
    torch.testing.assert_close(shared, single, atol=1e-5, rtol=0)
    scale = single_grad.abs().max()
    torch.testing.assert_close(shared_grad / scale, single_grad / scale, atol=1e-5, rtol=0)


@torch.no_grad()
def test_every_scored_token_has_its_logits(model: PreTrainedModel) -> None:
    ids, lengths = flat(GROUPS)
    mask = torch.cat([torch.arange(n) >= p for n, p in zip(lengths, PROMPTS, strict=True)])
    logits = scored_logits(model, torch.from_numpy(ids), lengths, mask)
    alone = [
        scored_logits(model, torch.tensor(s), [len(s)], torch.arange(len(s)) >= p)
        for s, p in zip(GROUPS, PROMPTS, strict=True)
    ]
    torch.testing.assert_close(logits, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_equal_sequences_of_opposite_advantage_cancel(model: PreTrainedModel) -> None:
    ids, lengths = flat([[*PROMPT, 1, 2], [*PROMPT, 1, 2]])
    mask = torch.tensor([False] * 5 + [True] * 2).repeat(2)
    logprobs = token_logprobs(model, torch.from_numpy(ids), lengths, mask)
    (logprobs * torch.tensor([1.0, 1.0, -1.0, -1.0])).sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is None or parameter.grad.abs().max() < 1e-7
    assert logprobs.tolist()[:2] == pytest.approx(logprobs.tolist()[2:], abs=0)
