"""Peaks: stated, and known by the names that torch gives to GPUs."""

import pytest
import torch

from r1kit.config import ComputeConfig
from r1kit.model.ranks import Ranks
from r1kit.stages.peak import known_peak, peak_flops


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA GeForce RTX 4060 Ti", 88),
        ("NVIDIA L40S", 362),
        ("Tesla T4", 65),
        ("NVIDIA GeForce RTX 4070", None),
        ("", None),
    ],
)
def test_gpus_are_known_by_torchs_names(name: str, teraflops: int | None) -> None:
    assert known_peak(name) == (None if teraflops is None else teraflops * 1e12)


def test_a_stated_peak_counts_for_every_rank() -> None:
    stated = ComputeConfig(peak_tflops=2.5)
    assert peak_flops(stated, Ranks(0, 4), torch.bfloat16) == 10e12
    assert peak_flops(ComputeConfig(), Ranks(), torch.float32) > 1e8
