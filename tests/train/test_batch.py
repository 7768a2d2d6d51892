"""Packing: nothing lost, nothing twice, every number beside its token."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from r1kit.train.batch import Batch, fill, pack
from r1kit.types import Trajectory


def sampled(prompt: list[int], completion: list[int], advantage: float) -> Trajectory:
    """A trajectory whose old log-probability of token t is -t / 100."""
    return Trajectory(
        prompt + completion,
        [0] * len(prompt) + [1] * len(completion),
        advantage,
        [0.0] * len(prompt) + [-token / 100 for token in completion],
    )


TRAJECTORIES = st.lists(
    st.builds(
        sampled,
        st.lists(st.integers(0, 99), min_size=1, max_size=5),
        st.lists(st.integers(0, 99), max_size=9),
        st.integers(-8, 8).map(lambda n: n / 4),
    ),
    max_size=12,
)


def test_two_sequences_by_hand() -> None:
    short, long = sampled([1], [7], -0.5), sampled([1, 52], [9, 2], 0.75)
    (batch,) = pack([short, long], [0.5, 0.25], micro_batch_tokens=6)
    assert batch.input_ids.tolist() == [1, 52, 9, 2, 1, 7]
    assert batch.lengths == [4, 2]
    assert batch.mask.tolist() == [False, False, True, True, False, True]
    assert batch.advantages.tolist() == [0.75, 0.75, -0.5]
    assert batch.old_logprobs.tolist() == pytest.approx([-0.09, -0.02, -0.07])
    assert batch.sequence_ids.tolist() == [0, 0, 1]
    assert batch.weights.tolist() == [0.25, 0.25, 0.5]
    assert (batch.input_ids.dtype, batch.mask.dtype) == (torch.long, torch.bool)


def test_imitation_has_advantage_one() -> None:
    document = Trajectory([5, 6, 7], [0, 1, 1])
    (batch,) = pack([document], [0.5], micro_batch_tokens=64)
    assert batch.advantages.tolist() == [1.0, 1.0]
    assert batch.old_logprobs.tolist() == [0.0, 0.0]
    assert batch.weights.tolist() == [0.5, 0.5]


def test_similar_lengths_together_longest_first_equal_ones_in_order() -> None:
    lengths = [3, 9, 2, 3, 8, 2]
    rows = [Trajectory([i] * n, [0] + [1] * (n - 1)) for i, n in enumerate(lengths)]
    batches = pack(rows, [1.0] * 6, micro_batch_tokens=10)
    assert [batch.lengths for batch in batches] == [[9], [8], [3, 3, 2, 2]]
    assert batches[2].input_ids.tolist() == [0, 0, 0, 3, 3, 3, 2, 2, 5, 5]


def test_a_mask_with_holes_is_carried_as_it_is() -> None:
    # Token 0 scored in one place and not in another, and a scored end token that equals a pad id.
    holes = Trajectory([4, 0, 0, 4, 0], [0, 1, 0, 0, 1], 1.0, [0.0, -1.0, 0.0, 0.0, -2.0])
    (batch,) = pack([holes], [1.0], micro_batch_tokens=64)
    assert batch.mask.tolist() == [False, True, False, False, True]
    assert batch.old_logprobs.tolist() == [-1.0, -2.0]


def test_rows_without_a_scored_token_are_left_out() -> None:
    remaining, masked = sampled([1, 2], [3], 1.0), Trajectory([1, 2, 3], [0, 0, 0], 1.0, [0.0] * 3)
    with_masked = pack([masked, remaining, masked], [0.0, 1.0, 0.0], micro_batch_tokens=64)
    assert [batch.lengths for batch in with_masked] == [[3]]
    assert pack([masked], [0.0], micro_batch_tokens=64) == []
    assert pack([], [], micro_batch_tokens=64) == []


@given(TRAJECTORIES, st.integers(1, 40))
def test_every_scored_token_is_there_once(rows: list[Trajectory], limit: int) -> None:
    batches = pack(rows, [float(index) for index in range(len(rows))], limit)
    for batch in batches:
        assert batch.input_ids.numel() == sum(batch.lengths)
        assert sum(batch.lengths) <= limit or len(batch.lengths) == 1
    result = sorted(scored for batch in batches for scored in scored_tokens(batch))
    assert result == sorted(
        (float(index), token, row.advantage, token)
        for index, row in enumerate(rows)
        for token, is_scored in zip(row.token_ids, row.loss_mask, strict=True)
        if is_scored
    )


def scored_tokens(batch: Batch) -> list[tuple[float, int, float, int]]:
    """(weight, token, advantage, token recovered from its old log-probability) of each."""
    owner = torch.arange(len(batch.lengths)).repeat_interleave(torch.tensor(batch.lengths))
    assert torch.equal(owner[batch.mask], batch.sequence_ids)
    recovered = (batch.old_logprobs * -100).round().long()
    columns = (batch.weights, batch.input_ids[batch.mask], batch.advantages, recovered)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (Trajectory([1, 2], [1, 1]), "first token"),
        (Trajectory([1, 2], [0, 1, 1]), "loss_mask"),
        (Trajectory([1, 2], [0, 1], 1.0), "go together"),
        (Trajectory([1, 2], [0, 1], 1.0, [-1.0]), "old_logprobs and token_ids"),
    ],
)
def test_a_trajectory_that_cannot_be_is_refused(broken: Trajectory, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        pack([broken], [1.0], micro_batch_tokens=64)


def test_one_weight_a_trajectory() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        pack([sampled([1], [2], 1.0)], [], micro_batch_tokens=64)


def test_filling_by_hand() -> None:
    """Longest first, equal ones in their order, a longer one alone."""
    items = ["bb", "a", "cc", "ddddd", "eee"]
    assert list(fill(items, 4, len)) == [["ddddd"], ["eee"], ["bb", "cc"], ["a"]]
    assert list(fill([], 4, len)) == []
