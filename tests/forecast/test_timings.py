"""Seconds of phases, by hand, and estimates for stated hardware."""

from dataclasses import replace

import pytest

from r1kit.errors import ConfigError
from r1kit.forecast.hardware import GPUS, stated
from r1kit.forecast.memory import Precision
from r1kit.forecast.timings import (
    estimated,
    learn_flops,
    learning_seconds,
    n_vllm_gpus,
    sampling_seconds,
)
from tests.forecast.conftest import SHAPE, TIMINGS

BF16 = Precision(2, 2)


def test_sampling_by_hand() -> None:
    # 16 completions of 20 tokens in 8 rows: 40 steps of 0.1 + 8 (0.01 + 0.0001 (10 + 10)).
    seconds = sampling_seconds(TIMINGS, 16, 20, 20, 8, 10)
    assert seconds == pytest.approx(40 * (0.1 + 8 * 0.012))
    assert sampling_seconds(TIMINGS, 4, 20, 20, 8, 10) == pytest.approx(20 * (0.1 + 4 * 0.012))
    # The longest of 4 completions has 50 tokens, so there are 50 steps, seldom full.
    seldom = sampling_seconds(TIMINGS, 4, 20, 50, 8, 10)
    assert seldom == pytest.approx(50 * 0.1 + 20 * 4 * 0.012)
    assert sampling_seconds(TIMINGS, 0, 20, 20, 8, 10) == 0


def test_learning_by_hand() -> None:
    assert learning_seconds(TIMINGS, 1000, 5, 2) == pytest.approx(2 + 1)
    assert learning_seconds(replace(TIMINGS, learn_batch=0.1), 1000, 5, 2) == pytest.approx(3.5)
    assert learn_flops(SHAPE, 100) == 6 * 1000 + 6 * 2 * 8 * 100


def test_a_7b_decodes_as_fast_as_its_weights_are_read() -> None:
    shape = replace(
        SHAPE, n_parameters=7 * 10**9, n_active=7 * 10**9, n_layers=28, hidden=3584, kv_floats=0
    )
    made = estimated(shape, GPUS["h100"], BF16, rows=1, length=1)
    assert made.decode_step == pytest.approx(14e9 / (3.35e12 / 2))
    assert made.decode_row == 0  # hidden behind the reading of the weights
    assert made.learn_token == pytest.approx(42e9 / (0.35 * 989e12), rel=1e-3)
    assert estimated(shape, GPUS["h100"], BF16, rows=512, length=1).decode_row > 0
    two = estimated(shape, stated("2x h100"), BF16, rows=1, length=1)
    assert two.update - made.update == pytest.approx(2 * 14e9 / 450e9)


def test_shards_are_moved_over_the_slowest_link() -> None:
    """Seven billion weights in 16 parts: 15 of 16 come from others, at 50 GB a second."""
    shape = replace(
        SHAPE, n_parameters=7 * 10**9, n_active=7 * 10**9, n_layers=28, hidden=3584, kv_floats=0
    )
    gpus = replace(GPUS["h100"], count=16)
    one = estimated(shape, GPUS["h100"], BF16, rows=1, length=1)
    made = estimated(shape, gpus, BF16, rows=1, length=1, n_shards=16)
    seconds_per_byte = 7e9 * 15 / 16 / 50e9
    assert made.learn_batch - one.learn_batch == pytest.approx(seconds_per_byte * (2 + 2 + 2))
    assert made.publish == pytest.approx(seconds_per_byte * 2)
    passes = 7 * 7e9 * 4 / (3.35e12 / 2)
    assert one.update - made.update == pytest.approx(passes * 15 / 16)
    two_copies = estimated(shape, gpus, BF16, rows=1, length=1, n_shards=8)
    summed = 2 * 7e9 / 8 * 2 / 50e9
    assert two_copies.update - one.update == pytest.approx(summed - passes * 7 / 8)
    assert replace(gpus, count=8).slowest_link == 450e9


def test_vllm_splits_weights_that_one_gpu_does_not_hold() -> None:
    large = 1342e9
    assert n_vllm_gpus(large, replace(GPUS["h200"], count=512)) == 16  # 1342 / (0.7 x 141) = 13.6
    assert n_vllm_gpus(large, replace(GPUS["h100"], count=8)) == 8
    assert n_vllm_gpus(14e9, GPUS["h100"]) == 1


@pytest.mark.parametrize(
    ("text", "count", "memory"),
    [("h100", 1, 80), ("2x A100", 2, 80), ("RTX 4090", 1, 24), ("1x24GB", 1, 24),
     ("4 x 80 GiB", 4, 80), ("a100-40gb", 1, 40), ("10gb", 1, 10)],
)  # fmt: skip
def test_hardware_is_understood(text: str, count: int, memory: float) -> None:
    gpu = stated(text)
    assert (gpu.count, gpu.memory / 1e9) == (count, memory)


@pytest.mark.parametrize("text", ["h1000", "0x24GB", "", "\ud800", "24", "x" * 10_000])
def test_unknown_hardware_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--gpus"):
        stated(text)


def test_stated_memory_is_as_fast_as_the_slowest_of_its_size() -> None:
    assert "RTX 3090" in stated("1x24GB").name
    assert stated("1x24GB").bandwidth == GPUS["rtx-3090"].bandwidth
