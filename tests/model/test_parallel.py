"""Two processes do what one does."""

import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace

import pytest
import torch

from r1kit.config import ComputeConfig, ModelConfig
from r1kit.errors import ComputeError, EngineError
from r1kit.model import causal_lm, devices, parallel
from r1kit.model import ranks as ranks_module
from r1kit.model.parallel import RankError
from r1kit.model.ranks import Ranks
from r1kit.model.roles import routers_of
from r1kit.train.cross_entropy import cross_entropy
from r1kit.train.optim import make_optimizers
from r1kit.train.pretrain import chunks, document
from r1kit.train.train_loop import train_loop
from tests.conftest import policy_of

CPU = ComputeConfig(device="cpu")


def talk(
    ranks: Ranks, greeting: str
) -> tuple[list[tuple[str, int]], dict[str, float], list[float], list[list[float]], list[int]]:
    everybody = ranks.gather((greeting, ranks.rank))
    sums = ranks.sum({"n": 1.0, f"rank{ranks.rank}": 2.0})
    parameter = torch.nn.Parameter(torch.zeros(3))
    other = torch.nn.Parameter(torch.zeros(2, 2))
    if ranks.rank == 1:
        parameter.grad = torch.tensor([1.0, 2.0, 3.0])
    other.grad = torch.full((2, 2), float(ranks.rank + 1))
    ranks.sum_gradients([parameter, other])
    assert parameter.grad is not None
    return everybody, sums, parameter.grad.tolist(), other.grad.tolist(), ranks.share(range(5))


def test_two_processes_gather_and_sum(forked_ranks: None) -> None:
    everybody, sums, first, second, share = parallel.launch(2, CPU, talk, "hello")
    assert everybody == [("hello", 0), ("hello", 1)]
    assert sums == {"n": 2.0, "rank0": 2.0, "rank1": 2.0}
    assert first == [1.0, 2.0, 3.0]
    assert second == [[3.0, 3.0], [3.0, 3.0]]
    assert share == [0, 2, 4]


def sum_in_buckets(ranks: Ranks) -> list[list[float]]:
    parameters = [torch.nn.Parameter(torch.zeros(n)) for n in (2, 3, 7, 1, 4)]
    for index, parameter in enumerate(parameters):
        parameter.grad = torch.arange(len(parameter)) * 10.0**ranks.rank + index
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks_module, "_BUCKET", 5)
        ranks.sum_gradients(parameters)
    return [[] if p.grad is None else p.grad.tolist() for p in parameters]


def test_gradients_are_summed_in_buckets(forked_ranks: None) -> None:
    sums = parallel.launch(2, CPU, sum_in_buckets)
    sizes = enumerate((2, 3, 7, 1, 4))
    assert sums == [[11.0 * place + 2 * index for place in range(n)] for index, n in sizes]


def test_one_process_needs_nobody() -> None:
    everybody, sums, first, *_ = parallel.launch(1, CPU, talk, "hello")
    assert everybody == [("hello", 0)]
    assert sums == {"n": 1.0, "rank0": 2.0}
    assert first == [0.0, 0.0, 0.0]


ROUTER_STEP = 0.01


def train_a_little(ranks: Ranks, family: str) -> tuple[list[float], list[float]]:
    """Five steps of pretraining, the documents of each step shared out over the ranks."""
    shape = ModelConfig.model_validate(
        {"family": family, "n_layers": 2, "hidden": 32, "intermediate": 48, "n_heads": 2}
        | {"n_kv_heads": 2}
    )
    model = causal_lm.build(shape, 40, eos_id=1, pad_id=0, bos_id=2, seed=0)
    policy = policy_of(model)
    from r1kit.config import BaseConfig

    config = BaseConfig(batch_tokens=64)
    generator = torch.Generator().manual_seed(0)
    documents = [
        document(torch.randint(3, 40, (4 + i % 9,), generator=generator).tolist())
        for i in range(80)
    ]
    lengths = [len(doc.token_ids) for doc in documents]
    steps = [
        [documents[i] for i in chunk if i % ranks.size == ranks.rank]
        for chunk in chunks(lengths, config.batch_tokens, 320)
    ]
    losses: list[float] = []
    train_loop(
        cross_entropy,
        policy,
        make_optimizers(policy.trainable(), config.optim),
        steps,
        config.optim,
        ranks,
        first_step=0,
        micro_batch_tokens=64 // ranks.size,
        after_step=lambda step, metrics: losses.append(metrics["loss"]),
        router_bias_update_rate=ROUTER_STEP,
    )
    compared = (
        model.parameters()
        if family == "llama"
        else [router.e_score_correction_bias for router in routers_of(model)]
    )
    flat = torch.cat([tensor.detach().flatten() for tensor in compared])
    return losses, flat.tolist()


@pytest.mark.usefixtures("forked_ranks")
@pytest.mark.parametrize("family", ["llama", "deepseek_v3"])
def test_two_processes_train_as_one(family: str) -> None:
    """Of a mixture, the biases of the routers, which move by the load of both.

    Its weights differ by up to 8e-4 here, in the projections from latents: keys and values share a
    matrix, and Muon raises the small gradient of the keys, and its rounding, to the other's size.
    """
    one_losses, item = parallel.launch(1, CPU, train_a_little, family)
    two_losses, two = parallel.launch(2, CPU, train_a_little, family)
    assert len(one_losses) == 5
    assert two_losses == pytest.approx(one_losses, rel=1e-5)
    differences = (torch.tensor(two) - torch.tensor(item)).abs()
    if family == "deepseek_v3":
        # Rounding can move one token to another expert, whose load then equals the mean no longer.
        assert (differences > 2e-4).sum() <= 2
        assert differences.max() < 2.1 * ROUTER_STEP
    else:
        torch.testing.assert_close(torch.tensor(two), torch.tensor(item), atol=2e-4, rtol=1e-3)
    assert any(two)


def test_chunks_by_hand() -> None:
    lengths = [4, 4, 3, 9, 2, 2, 2, 2]
    assert chunks(lengths, batch_tokens=8, tokens=20) == [range(2), range(2, 4)]
    assert chunks(lengths, batch_tokens=8, tokens=21) == [range(2), range(2, 4), range(4, 8)]
    assert chunks(lengths, batch_tokens=100, tokens=10) == []


def killed(ranks: Ranks) -> None:
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.gather(None)


@pytest.mark.usefixtures("forked_ranks")
def test_a_killed_rank_is_named() -> None:
    """The third fails as well, but only because its neighbour is gone."""
    with pytest.raises(ComputeError, match=r"Rank 1 has ended \(signal 9\).*resumes the run"):
        parallel.launch(3, CPU, killed)


def test_the_cause_is_named_although_its_echo_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Connection] = []

    def connected(_: str) -> SimpleNamespace:
        ours, theirs = Pipe()
        lines.append(theirs)
        return SimpleNamespace(line=ours, how=lambda: " (signal 9)", close=ours.close)

    monkeypatch.setattr(parallel, "Child", connected)
    with parallel._OtherRanks(3) as others:
        lines[1].send(parallel._Report("", "gloo: connection reset", "", is_echo=True))
        threading.Timer(0.2, lines[0].close).start()
        with pytest.raises(ComputeError, match=r"Rank 1 has ended \(signal 9\)"):
            others.check()


def die_here() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """Kills the process that receives it, before it comes to the rendezvous."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return die_here, ()


@pytest.mark.usefixtures("forked_ranks")
def test_a_rank_that_is_killed_while_it_loads_is_not_waited_for() -> None:
    with pytest.raises(ComputeError, match=r"Rank 1 has ended \(signal 9\)"):
        parallel.launch(2, CPU, killed, Deadly())


def complaining(ranks: Ranks) -> None:
    if ranks.rank == 1:
        raise EngineError("The weights are damaged; use another checkpoint.")
    ranks.gather(None)


@pytest.mark.usefixtures("forked_ranks")
def test_what_another_rank_says_is_said_by_the_first(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EngineError, match="The weights are damaged; use another checkpoint."):
        parallel.launch(2, CPU, complaining)
    assert "Traceback" not in capfd.readouterr().err


def crashing(ranks: Ranks) -> None:
    if ranks.rank == 1:
        raise KeyError("no such thing")
    ranks.gather(None)


@pytest.mark.usefixtures("forked_ranks")
def test_a_bug_in_another_rank_comes_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RankError, match="rank 1: KeyError: 'no such thing'") as raised:
        parallel.launch(2, CPU, crashing)
    assert "in crashing" in "".join(raised.value.__notes__)
    assert "Traceback" not in capfd.readouterr().err


def failing(ranks: Ranks) -> None:
    if ranks.rank == 0:
        raise RuntimeError("of the first rank")
    ranks.gather(None)


@pytest.mark.usefixtures("forked_ranks")
def test_a_bug_in_the_first_rank_is_not_laid_at_the_door_of_another() -> None:
    with pytest.raises(RuntimeError, match="of the first rank"):
        parallel.launch(2, CPU, failing)


def test_the_number_of_processes() -> None:
    assert devices.n_processes(ComputeConfig(n_processes=7), at_most=4) == 4
    assert devices.n_processes(ComputeConfig(n_processes=3), at_most=4) == 3
    assert 1 <= devices.n_processes(CPU, at_most=8) <= (os.cpu_count() or 1)


def test_a_device_that_is_not_there() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ComputeError, match="no cuda device for torch; set compute.device to cpu"):
        devices.resolve_device("cuda")


def test_ranks_alone() -> None:
    ranks = Ranks()
    assert ranks.is_first
    assert ranks.share([1, 2, 3]) == [1, 2, 3]


def test_more_processes_than_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_n_devices", lambda config: 2)
    assert devices.crowding_warning(ComputeConfig(device="cpu"), 2) is None
    requests = ComputeConfig(device="cpu", n_processes=64)
    assert devices.n_processes(requests, at_most=8) == 8
    assert "8 processes x 1 threads share 2 cores" in (devices.crowding_warning(requests, 8) or "")
    threads = ComputeConfig(device="cpu", threads=100)
    assert "compute.threads to 1" in (devices.crowding_warning(threads, 1) or "")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_n_devices", lambda config: 2)
    monkeypatch.setattr(devices, "resolve_device", lambda device: "cuda")
    assert devices.n_processes(ComputeConfig(n_processes=2), at_most=8) == 2
    with pytest.raises(ComputeError, match="each needs a GPU of its own, but this machine has 2"):
        devices.n_processes(ComputeConfig(n_processes=3), at_most=8)


def test_the_message_names_the_setting_that_was_used() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ComputeError, match="set --device to cpu"):
        devices.resolve_device("cuda", "--device")
