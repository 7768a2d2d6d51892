"""The compiled loops: exact where it matters, and the same whoever is in the batch."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import float64, njit

from r1kit.model import compile, kernels
from r1kit.model.attention import ScoreParams
from r1kit.model.decode import Decode

NONE = np.zeros(0, np.float32)


def _random(*shape: int) -> kernels.Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _seen(
    query: kernels.Array, stores: kernels.ArrayPair, where: kernels.SlotPositions
) -> kernels.Array:
    observed = np.zeros_like(query)
    kernels.attend(query, stores, where, np.float32(0.25), 0, np.float32(0), observed)
    return observed


def _drawn(logits: kernels.Array, u: kernels.Array) -> tuple[kernels.IntArray, kernels.Array]:
    tokens, logprobs = np.empty(len(u), np.int64), np.empty(len(u), np.float32)
    kernels.sample(logits, np.ones_like(u), np.zeros(0, np.bool_), u, tokens, logprobs)
    return tokens, logprobs


@given(st.one_of(st.floats(width=32), st.floats(-90, 90, width=32)))
@settings(max_examples=1000)
def test_exp_is_exp_to_the_last_places(x: float) -> None:
    actual = kernels._exp(np.float32(x))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exact = np.exp(np.float64(np.float32(x)))
    if np.isnan(exact):
        assert np.isnan(actual)
    elif exact < 2.0**-126:
        assert actual == 0
    elif exact > 2.0**127:
        assert actual > 1e38
    else:
        assert actual == pytest.approx(exact, rel=2.5e-7)


@given(st.integers(1, 7), st.integers(1, 9), st.integers(1, 40), st.booleans())
def test_products_in_blocks_have_no_edge(rows: int, out: int, depth: int, bias: bool) -> None:
    x, weight, more = _random(rows, depth), _random(out, depth), _random(out)
    y = kernels.linear(x, weight, more if bias else NONE)
    exact = x.astype(np.float64) @ weight.T.astype(np.float64) + (more if bias else 0)
    np.testing.assert_allclose(y, exact, atol=1e-5)
    for row in range(rows):
        alone = kernels.linear(x[row : row + 1], weight, more if bias else NONE)
        assert np.array_equal(alone[0], y[row])


def test_a_row_is_the_same_to_the_bit_in_any_batch() -> None:
    x, weight, bias = _random(9, 48), _random(33, 48), _random(33)
    query, keys, values = _random(9, 4, 16), _random(9, 2, 20, 16), _random(9, 2, 20, 16)
    slots, positions = np.arange(9)[::-1].copy(), np.arange(9) * 2
    logits, u = _random(9, 77) * 3, np.linspace(0, 0.99, 9, dtype=np.float32)
    calls: list[Callable[[slice], kernels.Array]] = [
        lambda rows: kernels.linear(x[rows], weight, bias),
        lambda rows: kernels.norm(x[rows], weight[0], np.float32(1e-6)),
        lambda rows: _seen(query[rows], (keys, values), (slots[rows], positions[rows])),
        lambda rows: _drawn(logits[rows], u[rows])[1],
    ]
    for call in calls:
        whole = call(slice(None))
        for row in range(9):
            assert np.array_equal(call(slice(row, row + 1))[0], whole[row])


@settings(max_examples=30)
@given(
    st.integers(1, 5),
    st.sampled_from([(4, 4), (4, 2), (6, 1)]),
    st.sampled_from([1, 7, 8, 33]),
    st.one_of(st.none(), st.integers(1, 12)),
    st.sampled_from([None, 5.0]),
    st.integers(0, 2**32),
)
def test_looking_back_in_a_loop_is_torchs_attention(
    rows: int,
    heads: tuple[int, int],
    dim: int,
    window: int | None,
    softcap: float | None,
    seed: int,
) -> None:
    random = torch.Generator().manual_seed(seed)
    query = torch.randn(rows, heads[0], 1, dim, generator=random)
    key, value = (torch.randn(rows, heads[1], 11, dim, generator=random) for _ in range(2))
    positions = torch.randint(0, 11, (rows,), generator=random)
    scores = ScoreParams(None, window, softcap)
    looped = Decode(positions, 11).attend(query, key, value, scores)
    exact = Decode(positions, 11).attend(query.double(), key.double(), value.double(), scores)
    torch.testing.assert_close(looped.double(), exact, atol=1e-5, rtol=1e-5)


def test_what_is_not_a_number_stays_so() -> None:
    odd = np.array([[0.0, np.nan], [np.inf, 0.0], [-np.inf, 0.0]], np.float32)
    ones = np.ones(3, np.float32)
    tokens, logprobs = _drawn(odd, ones / np.float32(3))
    assert np.isnan(logprobs).tolist() == [True, True, False]
    assert tokens[2] == 1
    assert np.isnan(kernels.linear(odd[:1], ones[None, :2], NONE)).all()
    assert np.isnan(kernels.norm(odd[:1], ones[:2], np.float32(0))).all()
    gates = odd.copy()
    kernels.gated(gates, np.ones_like(odd))
    assert np.isnan(gates[0, 1])
    assert gates[1, 0] == np.inf


def test_far_below_zero_a_gate_is_shut() -> None:
    gates = np.array([[-50.0, -100.0, -3e38, 0.0, 100.0]], np.float32)
    kernels.gated(gates, np.ones_like(gates))
    assert gates[0].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.0, 100.0], abs=1e-19)


INTERRUPTED = """
import random, signal
import numpy as np
from r1kit.model import compile, kernels

x, norms, none = np.ones((2, 8), np.float32), np.ones(8, np.float32), np.zeros(0, np.float32)
square, stores = np.ones((8, 8), np.float32), (np.zeros((2, 2, 5, 4), np.float32),) * 2
parameters = (norms, none, none, norms), (square,) * 7, (none,) * 7
where, turn = (np.arange(2), np.arange(2)), (np.ones((5, 4), np.float32),) * 2
tokens, greedy, one, zero = np.zeros(2, np.int64), np.zeros(0, np.bool_), *np.float32([1, 0])

def step():
    kernels.layer(x, parameters, turn, stores, where, one, one, 0)
    kernels.write_kv(x, parameters, turn, stores, where, one)
    kernels.attend(x.reshape(2, 2, 4), stores, where, one, 0, zero, np.zeros((2, 2, 4), np.float32))
    kernels.unembed(x, norms, (square, none), one, np.empty((2, 8), np.float32))
    kernels.sample(square[:2], norms[:2], greedy, norms[:2], tokens, np.empty(2, np.float32))

step()
signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(2000):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-3))
        while True:
            step()
    except KeyboardInterrupt:
        pass
"""


def test_a_ctrl_c_in_a_loop_is_a_ctrl_c() -> None:
    actual = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120
    )
    assert actual.returncode == 0, actual.stderr


def test_where_nothing_can_be_kept_loops_are_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refusing(**options: bool) -> object:
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(compile, "njit", refusing)

    @compile.Kernels(__file__).compiled(float64(float64))
    def double(x: float) -> float:
        return 2 * x

    assert double(4.0) == 8.0


LAYER = """
import hashlib
import numpy as np
from r1kit.model import compile, kernels

random = np.random.default_rng(0)
def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)

x, head = normal(5, 32), (normal(50, 32), normal(50))
norms = (normal(32), normal(16), normal(16), normal(32))
shapes = ((64, 32), (32, 32), (32, 32), (32, 64), (96, 32), (96, 32), (32, 96))
weights = tuple(normal(*shape) for shape in shapes)
biases = tuple(normal(len(weight)) for weight in weights)
angles = np.linspace(0, 6, 9 * 16, dtype=np.float32).reshape(9, 16)
kv = (normal(5, 2, 9, 16), normal(5, 2, 9, 16))
where = (np.arange(5), np.arange(4, 9))
scale, eps = np.float32(0.25), np.float32(1e-6)
cos_sin = (np.cos(angles), np.sin(angles))
kernels.layer(x, (norms, weights, biases), cos_sin, kv, where, scale, eps, 0)
logits = np.empty((5, 50), np.float32)
kernels.unembed(x, norms[0], head, eps, logits)
tokens, logprobs = np.empty(5, np.int64), np.empty(5, np.float32)
u = np.linspace(0, 0.9, 5, dtype=np.float32)
kernels.sample(logits, np.ones(5, np.float32), np.zeros(0, np.bool_), u, tokens, logprobs)
print(*(hashlib.sha256(array.tobytes()).hexdigest() for array in (*kv, logits, tokens, logprobs)))
"""


def test_processes_that_compiled_round_as_one_that_loaded_from_the_cache(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def started() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", LAYER]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    at_once = [started() for _ in range(2)]
    compiled, other = (process.communicate()[0] for process in at_once)
    assert len(compiled.split()) == 5
    assert compiled == other == started().communicate()[0]
