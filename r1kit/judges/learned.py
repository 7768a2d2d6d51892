"""The learned judge: a helpful and a harmless reward model trained by r1kit.

Source: the R1 paper, section 2.3.4 of its first version: helpfulness is judged by the final answer
alone, to interfere less with the reasoning; harmlessness by the whole completion. Departure: the
question decides which of the two models is used, and the score is its sigmoid.

Only `RewardInputEncoder` builds the inputs of the models, in training and in judging alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from r1kit.judges import is_harmful
from r1kit.model.scorer import score_all
from r1kit.renderers.base import Renderer
from r1kit.train.batch import fill
from r1kit.types import Attempt, Message, Problem


@dataclass(frozen=True)
class RewardInputEncoder:
    """Converts completions to the input tokens of a reward model."""

    renderer: Renderer

    def answer(self, problem: Problem, answer: str | None) -> list[int] | None:
        """Return prompt, answer and EOS; None if there is no answer or it is empty."""
        if not answer:
            return None
        prompt = self.renderer.render_prompt(problem.messages)
        return [*prompt, *self.renderer.render_target(Message("assistant", answer))]

    def whole(self, problem: Problem, text: str) -> list[int]:
        """Return prompt, whole completion with its thinking, and EOS.

        A truncated text is judged as if it had ended there.
        """
        prompt = self.renderer.render_prompt(problem.messages)
        return [*prompt, *self.renderer.encode_completion(text)]


class RewardModels:
    """A `Judge` that runs both reward models in this process."""

    def __init__(
        self,
        helpful: PreTrainedModel,
        harmless: PreTrainedModel,
        renderer: Renderer,
        micro_batch_tokens: int = 8192,
    ) -> None:
        self.helpful = helpful
        self.harmless = harmless
        self.encoder = RewardInputEncoder(renderer)
        self.micro_batch_tokens = micro_batch_tokens

    def scores(self, attempts: Sequence[Attempt]) -> list[float | None]:
        """Score as `Judge` does: 0 without an answer, None if a model's score is not finite."""
        scores: list[float | None] = [0.0] * len(attempts)
        seen_answers: list[tuple[int, list[int]]] = []
        seen_whole: list[tuple[int, list[int]]] = []
        for index, attempt in enumerate(attempts):
            problem = attempt.problem
            if is_harmful(problem):
                seen_whole.append((index, self.encoder.whole(problem, attempt.completion.text)))
            elif (ids := self.encoder.answer(problem, attempt.parsed.answer)) is not None:
                seen_answers.append((index, ids))
        for model, sequences in ((self.helpful, seen_answers), (self.harmless, seen_whole)):
            for index, score in self._judge(model, sequences):
                scores[index] = score
        return scores

    @torch.no_grad()
    def _judge(
        self, model: PreTrainedModel, sequences: list[tuple[int, list[int]]]
    ) -> list[tuple[int, float | None]]:
        judged: list[tuple[int, float | None]] = []
        for batch in fill(sequences, self.micro_batch_tokens, lambda item: len(item[1])):
            logits = score_all(model, [ids for _, ids in batch], model.device)
            for (index, _), score in zip(batch, logits.sigmoid().tolist(), strict=True):
                judged.append((index, score if math.isfinite(score) else None))
        return judged
