"""Published scores, in percent unless the benchmark says otherwise, each with its source.

Sources: v1 is arXiv 2501.12948v1, v2 its long version. Where the two differ (R1-Zero), v2's number
is here and v1's in docs/benchmarks.md. Numbers of blogs and READMEs that differ from the paper's
are left out.
"""

from __future__ import annotations

from typing import NamedTuple


class PublishedScore(NamedTuple):
    """A score that others have published."""

    model: str
    value: float
    source: str


_BASELINES = "v1 table 4"
_MODELS = ("Claude-3.5-Sonnet-1022", "GPT-4o-0513", "DeepSeek-V3", "o1-mini", "o1-1217",
           "DeepSeek-R1")  # fmt: skip
_ROWS: dict[str, tuple[float | None, ...]] = {
    "aime24": (16.0, 9.3, 39.2, 63.6, 79.2, 79.8),
    "math500": (78.3, 74.6, 90.2, 90.0, 96.4, 97.3),
    "gpqa": (65.0, 49.9, 59.1, 60.0, 75.7, 71.5),
    "livecodebench": (38.9, 32.9, 36.2, 53.8, 63.4, 65.9),
    "codeforces": (717, 759, 1134, 1820, 2061, 2029),
    "mmlu": (88.3, 87.2, 88.5, 85.2, 91.8, 90.8),
    "mmlu-redux": (88.9, 88.0, 89.1, 86.7, None, 92.9),
    "mmlu-pro": (78.0, 72.6, 75.9, 80.3, None, 84.0),
    "ceval": (76.7, 76.0, 86.5, 68.9, None, 91.8),
    "cnmo": (13.1, 10.8, 43.2, 67.6, None, 78.8),
    "ifeval": (86.5, 84.3, 86.1, 84.8, None, 83.3),
    "simpleqa": (28.4, 38.2, 24.9, 7.0, 47.0, 30.1),
    "frames": (72.5, 80.5, 73.3, 76.9, None, 82.5),
    "alpacaeval": (52.0, 51.1, 70.0, 57.8, None, 87.6),
    "arenahard": (85.2, 80.4, 85.5, 92.0, None, 92.3),
}
_ZERO = {
    "aime24": 77.9, "math500": 95.9, "gpqa": 75.8, "livecodebench": 50.0, "codeforces": 1444,
    "mmlu": 88.8, "mmlu-redux": 85.6, "mmlu-pro": 68.9, "ceval": 92.8, "cnmo": 88.1,
    "ifeval": 46.6, "simpleqa": 30.3, "frames": 82.3, "alpacaeval": 24.7, "arenahard": 53.6,
}  # fmt: skip
_STUDENTS: dict[str, tuple[float, float, float, float, float]] = {
    "R1-Distill-Qwen-1.5B": (28.9, 83.9, 33.8, 16.9, 954),
    "R1-Distill-Qwen-7B": (55.5, 92.8, 49.1, 37.6, 1189),
    "R1-Distill-Llama-8B": (50.4, 89.1, 49.0, 39.6, 1205),
    "R1-Distill-Qwen-14B": (69.7, 93.9, 59.1, 53.1, 1481),
    "R1-Distill-Qwen-32B": (72.6, 94.3, 62.1, 57.2, 1691),
    "R1-Distill-Llama-70B": (70.0, 94.5, 65.2, 57.5, 1633),
    "QwQ-32B-Preview": (50.0, 90.6, 54.5, 41.9, 1316),
}
_STUDENT_SETS = ("aime24", "math500", "gpqa", "livecodebench", "codeforces")
_OTHERS = {
    "aime25": [PublishedScore("DeepSeek-R1", 75.0, "v2 appendix E"),
               PublishedScore("o1-1217", 80.0, "v2 appendix E")],
    "humaneval": [PublishedScore("Qwen2.5-Coder-0.5B-Instruct", 61.6, "arXiv 2409.12186")],
    "gsm8k": [PublishedScore("Qwen2.5-0.5B", 36.7, "arXiv 2503.18892")],
}  # fmt: skip


def published(benchmark: str) -> list[PublishedScore]:
    """Return the published scores of a benchmark, R1 first."""
    scores = [
        PublishedScore(model, value, _BASELINES)
        for model, value in zip(_MODELS, _ROWS.get(benchmark, ()), strict=False)
        if value is not None
    ]
    if benchmark in _ZERO:
        scores.append(PublishedScore("DeepSeek-R1-Zero", _ZERO[benchmark], "v2 table 3"))
    if benchmark in _STUDENT_SETS:
        place = _STUDENT_SETS.index(benchmark)
        scores += [PublishedScore(m, row[place], "v1 table 5") for m, row in _STUDENTS.items()]
    scores += _OTHERS.get(benchmark, [])
    return sorted(scores, key=lambda score: (score.model != "DeepSeek-R1", score.model))
