"""Schemas of the files in a run folder; `validated.py` reads the files and checks them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)
from typing_extensions import TypedDict

FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
Section = dict[str, Any] | None


# checkpoints/<stage>-<step>/r1kit.json


class CheckpointFile(TypedDict):
    """`types.Checkpoint`, plus a checksum of every other file in the folder but the card."""

    path: str
    stage: str
    step: int
    weights_from: str | None
    data_from: str | None
    tokenizer_hash: str
    config_hash: str
    files: NotRequired[dict[str, str]]


# manifest.json


class FinishedStage(TypedDict, total=False):
    """The manifest's record of a finished stage."""

    checkpoint: str
    weights_from: str | None
    data_from: str | None
    records: dict[str, str]
    """maps a record file to the checksum of this stage's lines"""
    data: dict[str, str]
    """maps a file in data/ to its checksum"""


class LineageEntry(TypedDict):
    """An entry of the lineage."""

    stage: str
    weights_from: NotRequired[str | None]
    data_from: NotRequired[str | None]


class Session(TypedDict, total=False):
    """A process that worked on the run; see provenance.py."""

    command: Required[list[str]]
    gpus: list[str]
    cpu_count: int | None


class Manifest(TypedDict):
    recipe_hash: str
    finished: dict[str, FinishedStage]
    lineage: list[LineageEntry]
    sessions: list[Session]
    name: NotRequired[str]
    seed: NotRequired[int]
    started: NotRequired[str]
    forgetting: NotRequired[str]
    recipe_file: NotRequired[str]
    """checksum of recipe.json, which is not sealed so that it stays a valid recipe"""


# recipe.json, clock.json, results.json


class Cost(TypedDict, total=False):
    core_hour: FiniteFloat
    gpu_hour: FiniteFloat
    currency: str


class Compute(TypedDict, total=False):
    device: str
    dtype: str
    n_processes: int | Literal["auto"]
    threads: int


class ResolvedRecipe(BaseModel):
    """The parts of a recipe that reports read, in the format of this or an earlier version."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, Section]

    name: str = ""
    seed: int = 0
    languages: list[Any] = []
    showcase: list[Any] = []
    tasks: list[Any] = []
    ablations: list[Any] = []
    evals: list[Any] = []
    cost: Cost = {}
    compute: Compute = {}


Clock = dict[str, FiniteFloat]


class ScoredAnswers(TypedDict):
    value: FiniteFloat
    stderr: FiniteFloat


class ComputeSpent(TypedDict, total=False):
    flops: Required[FiniteFloat]


class EvalResult(TypedDict, total=False):
    """The results of a checkpoint on one benchmark."""

    pass_at_1: Required[FiniteFloat]
    stderr: Required[FiniteFloat]
    by_task: dict[str, FiniteFloat]
    cons_at_k: FiniteFloat
    cons_gain: FiniteFloat
    n_problems: int
    n_completions: int
    mean_tokens: FiniteFloat
    mean_reflections: FiniteFloat
    language_consistency: FiniteFloat
    well_formed: FiniteFloat
    truncated: FiniteFloat
    errors: dict[str, FiniteFloat]


class StageResult(TypedDict, total=False):
    """The results of a stage, and the checkpoint that has them."""

    evals: Required[dict[str, EvalResult]]
    """results by benchmark"""
    checkpoint: str
    n_parameters: int
    prompt: str
    """a held-out question as the model read it, control tokens included"""
    compute: ComputeSpent
    wall_s: FiniteFloat


class RewardModel(TypedDict, total=False):
    accuracy: Required[FiniteFloat]
    stderr: FiniteFloat
    n: FiniteFloat
    wall_s: FiniteFloat


class PreferenceEval(TypedDict, total=False):
    """The scores that the reward models give the general answers of each stage."""

    scores: Required[dict[str, ScoredAnswers]]
    wall_s: FiniteFloat


class Results(TypedDict, total=False):
    stages: dict[str, StageResult]
    preference: dict[str, RewardModel]
    preference_eval: PreferenceEval
    claims: list[dict[str, Any]]


# forecast.json


class ForecastStage(TypedDict):
    """The forecast of a stage that its metrics are compared with."""

    step_s: FiniteFloat
    """the most seconds that a step can take"""
    wall_s: FiniteFloat
    peak_mb: FiniteFloat
    expected_step_s: NotRequired[FiniteFloat]
    """with completions as long as the base's; missing until they are measured"""


class ForecastFile(TypedDict):
    """The forecast of a run, made before it began."""

    stages: dict[str, ForecastStage]


# progress.json


class ProgressRecord(TypedDict):
    """The point that a run has reached, and the process that runs it."""

    host: str
    pid: int
    pid_started: FiniteFloat
    """time at which that process started, since its number is used again"""
    is_over: bool
    """True if the process has ended in order, after the last stage or an error"""
    stage: str
    what: str
    step: int
    n_steps: int
    """steps of training, or items of another phase of the stage"""
    at: FiniteFloat
    """time of writing"""
    stages: dict[str, int]
    """steps of training by stage"""


# metrics.jsonl, samples.jsonl

FileMark = tuple[int, str]
"""size of a file in bytes, and the checksum of its content"""


class MetricsLine(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, FiniteFloat | None]

    stage: str
    step: int


class AnsweredQuestion(TypedDict, total=False):
    """A completion as shown to readers."""

    text: Required[str]
    correct: bool | None
    why: str
    extracted: str | None
    """the answer that the verifier read"""
    total: FiniteFloat | None
    """the whole reward, of weighted parts; only of samples in training"""
    reward: dict[str, FiniteFloat | None] | None
    n_tokens: int | None
    finish: str
    tokens: list[str]
    """text of each token; only of the first completions of a group"""
    logprobs: list[FiniteFloat | None]
    entropies: list[FiniteFloat | None]
    """entropy of the distribution behind each token, in nats"""


class Showcase(AnsweredQuestion):
    kind: Literal["showcase"]
    stage: str
    question: str
    gold: NotRequired[str | None]


class QuestionRow(TypedDict, total=False):
    question: Required[str]
    gold: Required[str]
    id: str
    task: str
    language: str


class SampledGroup(TypedDict):
    kind: Literal["group"]
    stage: str
    step: int
    problem: QuestionRow
    rollouts: list[AnsweredQuestion]


class Line(TypedDict):
    """The keys that every record has."""

    stage: str
    step: NotRequired[int | None]


def _kind(record: Any) -> str:
    kind = record.get("kind") if isinstance(record, dict) else None
    return kind if kind in ("showcase", "group") else "other"


Sample = Annotated[
    Annotated[Showcase, Tag("showcase")]
    | Annotated[SampledGroup, Tag("group")]
    | Annotated[Line, Tag("other")],
    Discriminator(_kind),
]


# data/<stage>.jsonl.rollouts


class _Whole(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]


class SampledVerdict(_Whole):
    correct: bool | None
    extracted: str | None
    why: str


class SampledReward(_Whole):
    total: FiniteFloat
    parts: dict[str, FiniteFloat]


class SampledRollout(_Whole):
    token_ids: list[int]
    logprobs: list[FiniteFloat]
    text: str
    finish: Literal["stop", "length", "abort"]
    policy_version: int
    tops: NotRequired[list[Any]]
    verdict: SampledVerdict
    reward: SampledReward


class SampledProblem(TypedDict):
    index: int
    prompt_ids: list[int]
    rollouts: list[SampledRollout]


RolloutsLine = Annotated[
    Annotated[dict[str, Any], Tag("settings")] | Annotated[SampledProblem, Tag("problem")],
    Discriminator(lambda record: "settings" if "kind" in record else "problem"),
]


# data/<stage>.jsonl


class ConversationTurn(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str
    reasoning_content: NotRequired[str | None]
    reasoning: NotRequired[str | None]


class ConversationRow(TypedDict):
    """A training conversation; its last turn is an answer."""

    messages: Annotated[list[ConversationTurn], Field(min_length=1)]
    provenance: NotRequired[dict[str, Any]]
