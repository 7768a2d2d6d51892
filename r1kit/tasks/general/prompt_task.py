"""General prompts from files, instead of the generated world, for the final stage and benchmarks.

No rule decides whether an answer to such a prompt is good: a judge does. The verdict only says
whether there is an answer, so that accuracy is the share of prompts that were answered.
"""

from __future__ import annotations

from dataclasses import replace

from r1kit.config import GeneralConfig
from r1kit.tasks.base import Task
from r1kit.tasks.epochs import Epochs
from r1kit.tasks.general.preference_file import example_file, prompt_of
from r1kit.types import Problem, Split, Verdict


class PromptTask(Task):
    """Prompts from the files that `[general]` names; harmful ones are of kind "harm"."""

    name = "general"
    is_finite = True

    def __init__(self, config: GeneralConfig, split: Split = "train", seed: int = 0) -> None:
        super().__init__(split=split, seed=seed)
        self.prompts: list[Problem] = []
        for source, kind in ((config.prompts, "prompt"), (config.harmful_prompts, "harm")):
            if source is not None:
                part = example_file(source, prompt_of).part(split, seed=seed)
                self.prompts += [
                    replace(prompt, id=f"{kind}/{prompt.id}", meta={"kind": kind})
                    for prompt in part
                ]
        self.epochs = Epochs(len(self.prompts), f"{self.name}/{split}/{seed}")

    def problem(self, index: int) -> Problem:
        return self.prompts[self.epochs[index]]

    def verify(self, problem: Problem, answer: str) -> Verdict:
        text = answer.strip()
        return Verdict(bool(text), text[:200] or None, "an answer" if text else "no answer")

    def gold(self, problem: Problem) -> str | None:
        return None
