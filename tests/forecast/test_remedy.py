"""What makes a recipe fit: changes of settings, a server's share, shorter completions."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from r1kit.forecast import show
from r1kit.forecast.remedy import one_change, shorter_completions, sufficient_gpu
from r1kit.types import Json
from tests.forecast.conftest import made

OWN_VLLM = {"sampler": {"kind": "vllm"}}


def test_the_one_change_is_the_mildest_that_fits() -> None:
    large = made({"compute": {"micro_batch_tokens": 8192}, "zero": {"n_problems": 400}}, 1e9)
    assert one_change(large) is not None
    needed = large.with_recipe(
        large.recipe.model_copy(
            update={"compute": large.recipe.compute.model_copy(update={"micro_batch_tokens": 2048})}
        )
    ).largest.peak
    tight = made(
        {"compute": {"micro_batch_tokens": 8192}, "zero": {"n_problems": 400}}, needed / 0.94
    )
    assert not tight.fits
    remedy = one_change(tight)
    assert remedy is not None
    assert remedy.changes == ("compute.micro_batch_tokens=2048",)
    assert remedy.forecast.fits


def test_several_changes_are_named_together_and_nothing_is_promised_in_vain() -> None:
    settings = {"compute": {"micro_batch_tokens": 8192}, "zero": {"n_problems": 400}}
    tight = made(settings, memory=1_400_000)
    remedy = one_change(tight)
    assert remedy is not None
    assert remedy.changes == ("compute.micro_batch_tokens=512", "sampler.max_num_seqs=256")
    assert remedy.forecast.fits
    hopeless = made(settings, memory=10_000)
    assert one_change(hopeless) is None
    assert sufficient_gpu(hopeless) == "RTX 3060"
    assert "RTX 3060" in show.advice(hopeless)


def test_completions_that_are_too_long_for_every_setting_are_named() -> None:
    settings: Json = {"zero": {"max_tokens": 8192}, "eval": {"max_tokens": 4096}}
    for memory, fitting in ((4e6, 2048), (2e6, 1024)):
        tight = made(settings, memory=memory)
        assert one_change(tight) is None
        shorter = shorter_completions(tight)
        assert shorter is not None
        assert (shorter.longest, shorter.max_tokens) == (8192, fitting)
        lengths: Json = {"zero": {"max_tokens": fitting}, "eval": {"max_tokens": fitting}}
        remedy = one_change(made(lengths, memory=memory))
        assert remedy is not None, "the named changes make it fit"
        assert remedy.changes == shorter.changes
        twice: Json = {"zero": {"max_tokens": 2 * fitting}, "eval": {"max_tokens": 2 * fitting}}
        assert one_change(made(twice, memory=memory)) is None
        assert f"8,192 tokens per completion are too many; {fitting:,} fit" in show.advice(tight)
    assert shorter_completions(made(settings, memory=1e5)) is None


def test_a_vllm_of_the_run_takes_its_share_of_the_first_gpu() -> None:
    forecast = made(OWN_VLLM, memory=1e6)
    assert forecast.server == pytest.approx(0.92e6)
    assert forecast.needed == forecast.largest.peak + forecast.server
    assert not forecast.fits
    remedy = one_change(forecast)
    assert remedy is not None
    assert remedy.changes == ("sampler.vllm_args=--gpu-memory-utilization=0.6",)
    assert remedy.forecast.server == pytest.approx(0.6e6)
    assert remedy.forecast.largest.peak + 0.6e6 <= 0.95e6
    stated = {"sampler": {"kind": "vllm", "vllm_args": "--seed 3 --gpu-memory-utilization 0.3"}}
    assert made(stated, memory=1e6).server == pytest.approx(0.3e6)
    others = {"sampler": {"kind": "vllm", "urls": ["http://gpu1:8000"]}}
    assert made(others, memory=1e6).server == made({}, memory=1e6).server == 0


def test_a_share_in_which_the_weights_do_not_fit_is_no_remedy() -> None:
    """4,000 bytes of weights need 70 % of the server's share, so 0.2 x 20,000 is too little."""
    forecast = made(OWN_VLLM, memory=20_000)
    assert one_change(forecast) is None


def test_a_vllm_of_the_run_is_there_once_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    on_gpu = made(OWN_VLLM, memory=4e9)
    forecast = replace(
        on_gpu, machine=replace(on_gpu.machine, is_shared=True, n_processes=2),
        setting=replace(on_gpu.setting, is_gpu=False, n_processes=2),
    ).with_recipe(on_gpu.recipe)  # fmt: skip
    assert forecast.server == 4 * 1000 + 2 * 5000 + 2 * 2**30
    assert forecast.needed == 2 * forecast.largest.peak + forecast.server
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    assert forecast.server == 4 * 1000 + 2 * 5000 + 2**30
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(show.picture(forecast, Path()))
    text = console.export_text()
    assert "2 processes of 0.1 GB, a vLLM server of 1.1 GB" in text
    assert re.search(r"vLLM server, once( +1\.07)+", text)
    assert show.as_json(forecast, Path())["server_memory"] == forecast.server
