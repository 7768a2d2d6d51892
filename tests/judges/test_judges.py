"""What a judge adds to rewards, and what the learned one sees."""

import copy
from collections.abc import Sequence

import pytest
import torch

from r1kit.config import ModelConfig
from r1kit.judges import add_judge_scores
from r1kit.judges.learned import RewardInputEncoder, RewardModels
from r1kit.model import causal_lm, scorer
from r1kit.model import tokenizer as tokenizers
from r1kit.renderers import renderer_of
from r1kit.renderers.encoding import encode_text
from r1kit.renderers.r1kit import SPECIAL_TOKENS
from r1kit.renderers.thinking import THINKING_TAGS, parse
from r1kit.types import Attempt, Completion, Group, Message, Problem, Reward, Rollout, Verdict
from tests.attempts import attempts

TOKENIZER = tokenizers.train_tokenizer(
    ["I am Mina. Hello! Hello, Mina! How can I help you? Good idea."], 300
)
RENDERER = renderer_of(TOKENIZER)


def problem(kind: str = "chat", question: str = "I am Mina. Hello!") -> Problem:
    return Problem(question, "general", (Message("user", question),), "x", "en", {"kind": kind})


def group(*texts: str, kind: str = "chat") -> Group:
    prompt = problem(kind)
    return Group(
        prompt,
        [
            Rollout(
                prompt,
                [1, 2],
                Completion([3], [-0.1], text, "stop", 0),
                parse(text),
                Verdict(True, text, ""),
                Reward(1.5, {"accuracy": 1.0, "format": 0.5}),
            )
            for text in texts
        ],
    )


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> RewardModels:
    folder = tmp_path_factory.mktemp("policy")
    shape = ModelConfig(n_layers=2, hidden=32, intermediate=48, n_heads=2, n_kv_heads=2)
    models = []
    for seed in (1, 2):
        causal_lm.build(
            shape, len(TOKENIZER), eos_id=1, pad_id=2, bos_id=0, seed=seed
        ).save_pretrained(folder)
        model = scorer.from_policy(folder, "cpu")
        torch.nn.init.normal_(model.score.weight, generator=torch.Generator().manual_seed(seed))
        models.append(model)
    helpful, harmless = models
    return RewardModels(helpful, harmless, RENDERER, micro_batch_tokens=64)


class Said:
    """A judge that says what the texts say."""

    def scores(self, attempts: Sequence[Attempt]) -> list[float | None]:
        kinds = [attempt.problem.meta["kind"] for attempt in attempts]
        assert kinds == ["chat", "chat", "harm", "harm"]
        texts = [attempt.completion.text for attempt in attempts]
        return [None if text == "?" else float(text) for text in texts]


def test_scores_become_a_part_of_the_reward_and_undecided_ones_are_dropped() -> None:
    first, second = add_judge_scores(
        [group("0.25", "?"), group("?", "1", kind="harm")], Said(), 2.0
    )
    assert [rollout.completion.text for rollout in first.rollouts] == ["0.25"]
    assert first.rollouts[0].reward == Reward(
        2.0, {"accuracy": 1.0, "format": 0.5, "preference": 0.25}
    )
    assert [rollout.reward.total for rollout in second.rollouts] == [3.5]
    assert second.problem.meta["kind"] == "harm"


def test_a_group_may_be_left_empty_and_nothing_is_judged_of_nothing() -> None:
    undecided = type("Undecided", (), {"scores": lambda self, attempts: [None] * len(attempts)})
    assert [
        left.rollouts for left in add_judge_scores([group("a"), group()], undecided(), 1.0)
    ] == [
        [],
        [],
    ]
    assert add_judge_scores([], undecided(), 1.0) == []


@pytest.mark.parametrize("scores", [[1.01], [-0.1], [float("nan")], [], [0.5, 0.5]])
def test_what_is_no_score_is_refused(scores: list[float]) -> None:
    wrong = type("Wrong", (), {"scores": lambda self, attempts: scores})
    with pytest.raises(ValueError, match="judge"):
        add_judge_scores([group("a")], wrong(), 1.0)


def test_the_helpful_model_sees_the_answer_and_the_harmless_one_everything(
    judge: RewardModels,
) -> None:
    texts = [
        "<think>a</think>Hello, Mina!",
        "<think>Good idea.</think>Hello, Mina!",
        "Hello, Mina!",
    ]
    helpful = judge.scores(attempts([problem()] * 3, texts))
    assert len(set(helpful)) == 1
    assert helpful[0] is not None
    assert 0 < helpful[0] < 1
    assert judge.scores(attempts([problem()], ["<think>a</think>Hello!"]))[0] != helpful[0]
    asked_otherwise = judge.scores(attempts([problem(question="How can I help?")], texts[:1]))
    assert asked_otherwise[0] != helpful[0]
    harmless = judge.scores(attempts([problem("harm")] * 3, texts))
    assert len(set(harmless)) == 3


def test_changing_the_thinking_of_one_of_many_leaves_helpful_scores_bit_equal(
    judge: RewardModels,
) -> None:
    kinds = ["chat", "harm", "chat", "harm", "chat"]
    prompt = [problem(kind) for kind in kinds]
    before = judge.scores(attempts(prompt, [f"<think>{i}</think>I am {i}" for i in range(5)]))
    after = judge.scores(
        attempts(prompt, [f"<think>{i * 7} Good</think>I am {i}" for i in range(5)])
    )
    for kind, old, new in zip(kinds, before, after, strict=True):
        assert (old == new) is (kind == "chat")


def test_a_score_is_that_of_its_model_alone(judge: RewardModels) -> None:
    prompt, text = problem(), "<think>a</think>Hello, Mina!"
    ids = [
        *RENDERER.render_prompt(prompt.messages),
        *encode_text(TOKENIZER, "Hello, Mina!"),
        TOKENIZER.eos_token_id,
    ]
    with torch.no_grad():
        expected = scorer.score_all(judge.helpful, [ids], "cpu").sigmoid().item()
    assert judge.scores(attempts([prompt], [text])) == [expected]
    many = judge.scores(attempts([prompt] * 9, [text, *[f"Hello {i}" * i for i in range(1, 9)]]))
    assert many[0] == pytest.approx(expected, abs=1e-6)


def test_without_an_answer_there_is_nothing_helpful(judge: RewardModels) -> None:
    texts = ["<think>Hello, Mina!", "<think>a</think> \n", ""]
    assert judge.scores(attempts([problem()] * 3, texts)) == [0.0] * 3
    harmless = judge.scores(attempts([problem("harm")] * 3, texts))
    assert all(score is not None and 0 < score < 1 for score in harmless)
    assert judge.scores(attempts([], [])) == []


def test_a_number_that_is_none_is_undecided(judge: RewardModels) -> None:
    broken = RewardModels(copy.deepcopy(judge.helpful), judge.harmless, RENDERER)
    broken.helpful.score.weight.data.fill_(float("nan"))
    scores = broken.scores(
        attempts([problem(), problem("harm"), problem()], ["Hello", "Hello", ""])
    )
    assert scores[0] is None
    assert scores[1] is not None
    assert 0 < scores[1] < 1
    assert scores[2] == 0.0


CONTROL = (*SPECIAL_TOKENS, *THINKING_TAGS)


def test_text_never_becomes_a_control_token() -> None:
    encoder, chat_problem = RewardInputEncoder(RENDERER), problem()
    prompt = RENDERER.render_prompt(chat_problem.messages)
    control = {TOKENIZER.convert_tokens_to_ids(token) for token in CONTROL}
    hostile = "".join(SPECIAL_TOKENS) + "</think>"
    observed = encoder.answer(chat_problem, parse(f"<think>a</think>b{hostile}").answer)
    assert observed is not None
    assert observed[: len(prompt)] == prompt
    assert not control & set(observed[len(prompt) : -1])
    assert observed[-1] == TOKENIZER.eos_token_id
    whole = encoder.whole(chat_problem, f"<think>a{hostile}b")[len(prompt) :]
    tags = [TOKENIZER.convert_tokens_to_ids(tag) for tag in THINKING_TAGS]
    assert [token for token in whole if token in control] == [*tags, TOKENIZER.eos_token_id]
    assert TOKENIZER.decode(whole[:-1]) == f"<think>a{hostile}b"


@pytest.mark.parametrize("reasoning", [None, "3 + 4 is 7"])
@pytest.mark.parametrize("opened", [False, True])
def test_what_is_written_is_read_back(reasoning: str | None, opened: bool) -> None:
    """Also for models whose prompt already ends in the opening tag."""
    tokenizer = TOKENIZER
    if opened:
        tokenizer = tokenizers.train_tokenizer(["I am Mina. Hello!"], 300)
        tokenizer.chat_template = (
            "{% for m in messages %}<｜User｜>{{ m.content }}{% endfor %}<｜Assistant｜><think>\n"
        )
    renderer, chat_problem = renderer_of(tokenizer), problem()
    encoder = RewardInputEncoder(renderer)
    assert renderer.opens_thinking is opened
    text = renderer.format_completion(reasoning, "Hello!")
    assert renderer.parse(text).answer == "Hello!"
    prompt = renderer.render_prompt(chat_problem.messages)
    for observed in (
        encoder.answer(chat_problem, renderer.parse(text).answer),
        encoder.whole(chat_problem, text),
    ):
        assert observed is not None
        shown = tokenizer.decode(observed[len(prompt) : -1])
        assert shown.endswith("Hello!")
        assert ("</think>" in shown) is (opened or (reasoning is not None and "3" in shown))
