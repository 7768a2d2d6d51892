"""The learned judge: a helpful and a harmless reward model trained by r1kit.

Source: the R1 paper, section 2.3.4 of its first version: helpfulness is judged by the final answer
alone, to interfere less with the reasoning; harmlessness by the whole completion. Departure: the
question decides which of the two models is used, and the score is its sigmoid.

Only `Reader` builds the inputs of the models, in training and in judging alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from r1kit.judges import is_harmful
from r1kit.model.scorer import score_all
from r1kit.renderers.base import close_thinking, is_prefilled, render_prompt
from r1kit.renderers.encoding import encode_completion, encode_text
from r1kit.renderers.thinking import THINK, completion_text, parse
from r1kit.train.batch import fill
from r1kit.types import Message, Problem


@dataclass(frozen=True)
class Reader:
    """Converts completions to the input tokens of a reward model."""

    tokenizer: PreTrainedTokenizerBase
    prefilled: bool = field(init=False)
    """True if the prompt already ends in the opening tag of the thinking"""

    def __post_init__(self) -> None:
        prompt = render_prompt(self.tokenizer, [Message("user", "?")])
        object.__setattr__(self, "prefilled", is_prefilled(self.tokenizer, prompt))

    def write(self, reasoning: str | None, answer: str) -> str:
        """Format a completion as a model with this tokenizer would have written it."""
        if not self.prefilled:
            return completion_text(reasoning, answer)
        return completion_text(reasoning or "", answer).removeprefix(THINK)

    def answer(self, problem: Problem, text: str) -> list[int] | None:
        """Return prompt, answer and EOS; None if there is no answer or it is empty."""
        answer = parse(text, self.prefilled).answer
        if not answer:
            return None
        prompt = render_prompt(self.tokenizer, problem.messages)
        closing = close_thinking(self.tokenizer) if self.prefilled else []
        return [*prompt, *closing, *encode_text(self.tokenizer, answer), *self._end()]

    def whole(self, problem: Problem, text: str) -> list[int]:
        """Return prompt, whole completion with its thinking, and EOS."""
        prompt = render_prompt(self.tokenizer, problem.messages)
        return [*prompt, *encode_completion(self.tokenizer, text), *self._end()]

    def _end(self) -> list[int]:
        """Return EOS, always added: a truncated text is judged as if it had ended there."""
        eos = self.tokenizer.eos_token_id
        return [] if eos is None else [int(eos)]


class RewardModels:
    """A `Judge` that runs both reward models in this process."""

    def __init__(
        self,
        helpful: PreTrainedModel,
        harmless: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        micro_batch_tokens: int = 8192,
    ) -> None:
        self.helpful = helpful
        self.harmless = harmless
        self.reader = Reader(tokenizer)
        self.micro_batch_tokens = micro_batch_tokens

    def scores(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float | None]:
        """Score as `Judge` does: 0 without an answer, None if a model's score is not finite."""
        found: list[float | None] = [0.0] * len(texts)
        seen_answers: list[tuple[int, list[int]]] = []
        seen_whole: list[tuple[int, list[int]]] = []
        for place, (problem, text) in enumerate(zip(problems, texts, strict=True)):
            if is_harmful(problem):
                seen_whole.append((place, self.reader.whole(problem, text)))
            elif (ids := self.reader.answer(problem, text)) is not None:
                seen_answers.append((place, ids))
        for model, seen in ((self.helpful, seen_answers), (self.harmless, seen_whole)):
            for place, score in self._judge(model, seen):
                found[place] = score
        return found

    @torch.no_grad()
    def _judge(
        self, model: PreTrainedModel, seen: list[tuple[int, list[int]]]
    ) -> list[tuple[int, float | None]]:
        judged: list[tuple[int, float | None]] = []
        for batch in fill(seen, self.micro_batch_tokens, lambda one: len(one[1])):
            logits = score_all(model, [ids for _, ids in batch], model.device)
            for (place, _), score in zip(batch, logits.sigmoid().tolist(), strict=True):
                judged.append((place, score if math.isfinite(score) else None))
        return judged
