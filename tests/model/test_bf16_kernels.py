"""The bfloat16 loops round as torch does, and attend as the float32 loops do."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from r1kit.model import bf16_kernels, kernels
from r1kit.model.cache import as_array
from r1kit.model.norm import RMSNorm


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).bfloat16()


@given(st.floats(width=32))
@settings(max_examples=2000)
def test_a_number_is_rounded_as_in_torch(x: float) -> None:
    bits = bf16_kernels.narrowed(np.float32(x))
    expected = torch.tensor([x], dtype=torch.float32).bfloat16()
    wide = bf16_kernels.widened(bits)
    assert wide == expected.item() or (np.isnan(wide) and expected.isnan().item())


def test_every_bfloat16_is_widened_to_its_value() -> None:
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16)
    wide = [bf16_kernels.widened(bits) for bits in every.numpy()]
    expected = every.view(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(np.array(wide, np.float32), expected)


def test_norm_is_the_module_within_a_rounding() -> None:
    x, module = _normal(5, 48), torch.nn.RMSNorm(48)
    weight = _normal(48)
    module.__class__, module.variance_epsilon = RMSNorm, 1e-5  # type: ignore[assignment]
    module.weight = torch.nn.Parameter(weight)
    y = torch.empty_like(x)
    bf16_kernels.norm(as_array(x), as_array(weight), np.float32(1e-5), as_array(y))
    torch.testing.assert_close(y, module(x).detach(), atol=0, rtol=2**-7)


def test_gated_is_torchs_within_a_rounding() -> None:
    gates, ups = _normal(4, 64) * 8, _normal(64, 4).T.contiguous()
    expected = torch.nn.functional.silu(gates) * ups
    bf16_kernels.gated(as_array(gates), as_array(ups))
    torch.testing.assert_close(gates, expected, atol=1e-30, rtol=2**-7)


def test_rotated_keys_are_those_of_transformers_to_the_bit() -> None:
    rows, heads, dim, length = 3, 2, 16, 9
    angles = torch.linspace(0, 6, length * dim // 2).view(length, -1).repeat(1, 2)
    cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
    key, value = _normal(rows, heads, dim), _normal(rows + 1, heads, dim)[:rows].contiguous()
    stores = (
        torch.zeros(rows, heads, length, dim).bfloat16(),
        torch.zeros(rows, heads, length, dim).bfloat16(),
    )
    where = np.arange(rows), np.array([8, 0, 3])
    bf16_kernels.write_kv(
        as_array(key), as_array(value), (as_array(cos), as_array(sin)),
        (as_array(stores[0]), as_array(stores[1])), where,
    )  # fmt: skip
    at = torch.from_numpy(where[1])
    expected, _ = apply_rotary_pos_emb(
        key[:, :, None], key[:, :, None], cos[at][:, None], sin[at][:, None]
    )
    for row, position in enumerate(where[1]):
        assert torch.equal(stores[0][row, :, position], expected[row, :, 0])
        assert torch.equal(stores[1][row, :, position], value[row])
    assert stores[0].count_nonzero() == key.count_nonzero()


@given(st.integers(1, 4), st.sampled_from([1, 2, 3]), st.integers(0, 6), st.integers(1, 9))
@settings(max_examples=40)
def test_attention_is_that_of_the_float32_loops(
    rows: int, group: int, window: int, length: int
) -> None:
    kv_heads, dim = 2, 16
    query = _normal(rows, kv_heads * group, dim)
    keys, values = _normal(rows, kv_heads, length, dim), _normal(rows, kv_heads, length, dim) * 2
    where = np.arange(rows), np.arange(rows) % length
    ones, zeros = torch.ones(length, dim).bfloat16(), torch.zeros(length, dim).bfloat16()
    attended = torch.empty_like(query)
    bf16_kernels.attend(
        as_array(query), (as_array(ones), as_array(zeros)), (as_array(keys), as_array(values)),
        where, np.float32(0.25), window, as_array(attended),
    )  # fmt: skip
    wide = np.zeros(query.shape, np.float32)
    stores = keys.float().numpy(), values.float().numpy()
    kernels.attend(
        query.float().numpy(), stores, where, np.float32(0.25), window, np.float32(0), wide
    )
    torch.testing.assert_close(attended.float(), torch.from_numpy(wide), atol=1e-2, rtol=2**-7)
