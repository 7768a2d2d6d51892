"""r1kit's contenders: sampling alone, a whole GRPO step, and the peak of the machine.

python -m benchmarks.ours {sample,step,peak} WORK.json --processes N --threads T
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.protocol import Answer, Channel, Work, coin, take_stdout
from r1kit.config import ComputeConfig, RLConfig, RLOptimConfig, SamplerConfig
from r1kit.engines.base import generate
from r1kit.engines.open import open_sampler
from r1kit.judges import PART
from r1kit.model.parallel import launch
from r1kit.model.policy import Policy
from r1kit.model.ranks import Ranks
from r1kit.renderers import renderer_of
from r1kit.stages.reinforce import CollectedStep, Collector, RLEnvironment
from r1kit.tasks.base import Task
from r1kit.tasks.mix import TaskMixture
from r1kit.train.optim import make_optimizers
from r1kit.train.rl import Learner, Metrics, RLState, reinforce
from r1kit.types import Attempt, Message, Problem, Request, SamplingParams, Verdict

Run = Callable[[], Answer]
COMPUTE = ComputeConfig()
SEED = 0
GEMM_SIZES = (512, 1024, 2048)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("sample", "step", "peak"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    asked = parser.parse_args()
    config = ComputeConfig(
        n_processes=asked.processes, threads=asked.threads, device="cpu", dtype=asked.dtype
    )
    program = {"sample": sample, "step": step, "peak": peak}[asked.what]
    work = replace(Work.read(asked.work), dtype=asked.dtype)
    launch(asked.processes, config, program, take_stdout(), work)


def serve(ranks: Ranks, answers: int, about: Answer, run: Run) -> None:
    """Serve runs to the driver from rank 0; all ranks run together."""
    if ranks.is_first:
        Channel(answers).serve(about, lambda: _together(ranks, run))
        ranks.gather("stop")
    else:
        while "run" in ranks.gather(None):
            run()


def _together(ranks: Ranks, run: Run) -> Answer:
    ranks.gather("run")
    return run()


def sample(ranks: Ranks, answers: int, work: Work) -> None:
    """Measure sampling alone, with the engine of the training loop."""
    policy = _policy(ranks, work)
    sampling = SamplingParams(work.max_tokens)
    seed = 0

    def run() -> Answer:
        nonlocal seed
        seed += len(work.prompt_ids)
        mine = ranks.share(range(len(work.prompt_ids)))
        requests = [
            Request(work.prompt_ids[place], work.n_completions, sampling, seed + place)
            for place in mine
        ]
        ranks.gather(None)
        started = time.perf_counter()
        done = generate(opened.sampler, requests)
        tokens = sum(len(completion.token_ids) for group in done for completion in group)
        total = ranks.sum({"tokens": tokens})["tokens"]
        return {"seconds": time.perf_counter() - started, "tokens": int(total)}

    with open_sampler(policy, SamplerConfig()) as opened:
        serve(ranks, answers, {"parameters": policy.n_parameters}, run)


def step(ranks: Ranks, answers: int, work: Work) -> None:
    """Measure whole steps of an RL stage: sample, verify, describe, learn, publish.

    Only the logging and saving after a step are left out; TRL does not do them here either.
    """
    policy = _policy(ranks, work)
    config = RLConfig(
        n_steps=1_000_000,
        n_problems=len(work.questions),
        n_completions=work.n_completions,
        max_tokens=work.max_tokens,
        loss_type="dapo",
        optim=RLOptimConfig(lr=work.lr),
    )
    optimizers = make_optimizers(policy.trainable(), config.optim)
    learner = Learner(policy, optimizers, config, ranks, COMPUTE.micro_batch_tokens)
    tasks = TaskMixture([Questions(work.questions)], [1.0], SEED, "train")
    name = Questions.name
    rewards = {name: {PART: 1.0}}
    environment = RLEnvironment(
        lambda step: tasks, weights_by_task=rewards, judge=Coin(), judged_task=name
    )
    renderer = renderer_of(policy.tokenizer)
    steps = Steps(ranks, answers, {"parameters": policy.n_parameters})

    def collect_when_asked(step: int, cursor: int) -> CollectedStep:
        steps.begin()
        return collector.step(step, cursor)

    with open_sampler(policy, SamplerConfig()) as (sampler, weight_sync):
        collector = Collector(ranks, sampler, renderer, config, environment, SEED)
        publish = partial(weight_sync.publish, policy)
        reinforce(learner, RLState(), collect_when_asked, publish, steps.end)


class Questions(Task):
    """The workload's questions in turn. No answer is right: only the coin toss gives a reward."""

    name = "questions"

    def __init__(self, questions: Sequence[str]) -> None:
        super().__init__()
        self.questions = questions

    def problem(self, index: int) -> Problem:
        """See `Task`."""
        place = index % len(self.questions)
        return Problem(f"{place}", self.name, (Message("user", self.questions[place]),), "", "en")

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See `Task`."""
        return Verdict(False, None, "a coin decides")


class Coin:
    """A judge that tosses a coin. Judges see whole texts, as TRL's reward does.

    A verifier would see only answers, and many different texts of a trained policy have the same
    answer.
    """

    def scores(self, attempts: Sequence[Attempt]) -> list[float | None]:
        """See `judges.Judge`."""
        return [coin(attempt.completion.text) for attempt in attempts]


class Steps:
    """Runs one step of the training loop per request of the driver."""

    def __init__(self, ranks: Ranks, answers: int, about: Answer) -> None:
        self.ranks = ranks
        self.started = 0.0
        self.channel = Channel(answers) if ranks.is_first else None
        if self.channel:
            self.channel.send(about)

    def begin(self) -> None:
        """Block until a step is requested; exit the process when there are no more requests."""
        wanted = self.channel.wanted() if self.channel else None
        if False in self.ranks.gather(wanted):
            if self.channel:
                self.channel.close()
            sys.exit(0)
        self.started = time.perf_counter()

    def end(self, state: RLState, metrics: Metrics, done: CollectedStep) -> None:
        seconds = time.perf_counter() - self.started
        rollouts = [rollout for group in done.rollouts for rollout in group.rollouts]
        tokens = sum(len(rollout.completion.token_ids) for rollout in rollouts)
        total = self.ranks.sum({"tokens": tokens})["tokens"]
        if self.channel:
            del metrics["step_time"]  # includes waiting for the driver
            self.channel.send({"seconds": seconds, "tokens": int(total), "metrics": metrics})


def peak(ranks: Ranks, answers: int, work: Work) -> None:
    """Measure the peak: the most multiply-adds all processes and threads reach together."""
    dtype = getattr(torch, work.dtype)
    matrices = [torch.randn(2, n, n).to(dtype) for n in GEMM_SIZES]

    def run() -> Answer:
        rates = [_gemm_rate(ranks, a, b) for a, b in matrices]
        return {"gflops": max(rates), "by_size": dict(zip(GEMM_SIZES, rates, strict=True))}

    serve(ranks, answers, {}, run)


def _gemm_rate(ranks: Ranks, a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the GFLOP/s of all ranks together; a product counts 2 n^3 operations."""
    operations = 2.0 * len(a) ** 3
    n_products = max(3, int(3e10 / operations))
    torch.mm(a, b)
    ranks.gather(None)
    started = time.perf_counter()
    for _ in range(n_products):
        torch.mm(a, b)
    rate = n_products * operations / (time.perf_counter() - started) / 1e9
    return ranks.sum({"rate": rate})["rate"]


def _policy(ranks: Ranks, work: Work) -> Policy:
    return Policy.load(Path(work.model), ranks.device, getattr(torch, work.dtype))


if __name__ == "__main__":
    # Child processes import this module by name: they cannot find a function of `__main__`.
    from benchmarks import ours

    ours.main()
