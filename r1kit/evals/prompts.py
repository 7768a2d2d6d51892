"""The wordings of prompts: one per kind of question, from which the protocols choose.

Sources: the R1 paper's appendix on evaluation prompts (mathematics, choice, code), simple-evals for
multiple choice, lighteval's tasks as open-r1 uses them, and EvalPlus for functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from r1kit.types import Problem
from r1kit.verify.statements.letters import LETTERS

PromptKind = Literal[
    "math", "math-ko", "math-zh", "choice", "choice-10", "choice-ko", "choice-zh", "function",
    "mbpp", "program", "plain",
]  # fmt: skip
"""what a question asks for, which decides on the wording around it"""
Prompts = Mapping[PromptKind, str]
"""kind of question → template with {question}, {options}, {letters} and {prompt}"""

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
_CHOICE = (
    "Answer the following multiple choice question. The last line of your response should be of "
    "the following format: '{mark}: $LETTER' (without quotes) where LETTER is one of {letters}. "
    "Think step by step before answering.\n\n{question}\n\n{options}"
)
CHOICE = _CHOICE.replace("{mark}", "Answer")
CHOICE_CAPITALS = _CHOICE.replace("{mark}", "ANSWER")
_BLOCK = "Answer with the whole program in one ```python block."

R1_PROMPTS: Prompts = {
    "math": "{question}\n" + BOXED,
    "math-ko": "{question}\n단계별로 추론하고, 최종 답을 \\boxed{} 안에 쓰세요.",
    "math-zh": "{question}\n请一步一步推理，并将最终答案放在 \\boxed{} 中。",
    "choice": CHOICE,
    "choice-10": (
        "The following is a multiple choice question. Think step by step and then finish your "
        'answer with "The answer is (X)" where X is the correct letter choice.\n\n'
        "{question}\n\n{options}"
    ),
    "choice-ko": (
        "다음 객관식 문제를 읽고 단계별로 생각한 뒤 답하세요. 마지막 줄에 '정답: $LETTER' 형식으로 "
        "쓰세요. LETTER는 {letters} 중 하나입니다.\n\n{question}\n\n{options}"
    ),
    "choice-zh": (
        "以下是一道单项选择题，请逐步思考并选出正确答案。回答的最后一行应为“答案：X”的形式，"
        "其中 X 是 {letters} 之一。\n\n{question}\n\n{options}"
    ),
    "function": "Complete this function. " + _BLOCK + "\n\n```python\n{prompt}\n```",
    "mbpp": "{question}",
    "program": "{question}",
    "plain": "{question}",
}  # fmt: skip
"""R1's prompts; Korean ones are translations, as the paper has none"""
OPEN_R1_PROMPTS: Prompts = {
    "math": (
        "Solve the following math problem efficiently and clearly.  The last line of your response "
        "should be of the following format: 'Therefore, the final answer is: $\\boxed{ANSWER}$. I "
        "hope it is correct' (without quotes) where ANSWER is just the final number or expression "
        "that solves the problem. Think step by step before answering.\n\n{question}"
    ),
}
SIMPLE_EVALS_PROMPTS: Prompts = {
    "math": (
        "Solve the following math problem step by step. The last line of your response should be "
        "of the form Answer: $ANSWER (without quotes) where $ANSWER is the answer to the problem."
        "\n\n{question}\n\nRemember to put your answer on its own line after \"Answer:\", and you "
        "do not need to use a \\boxed command."
    ),
    "function": (
        "Read the following function signature and docstring, and fully implement the function "
        "described. Your response should only contain the code for this function.\n{prompt}"
    ),
}  # fmt: skip
EVALPLUS_PROMPTS: Prompts = {
    "function": (
        "Please provide a self-contained Python script that solves the following problem in a "
        "markdown code block:\n```\n{prompt}\n```\n"
    ),
}
_FIELD = re.compile(r"\{(question|options|letters|prompt)\}")


def worded(problem: Problem, template: str) -> str:
    """Return the prompt of a problem whose message is the bare question."""
    options: Sequence[str] = problem.meta.get("options") or ()
    fields: dict[str, Any] = {
        "question": problem.messages[-1].content,
        "prompt": str(problem.meta.get("prompt", "")).rstrip(),
        "letters": LETTERS[: len(options)],
        "options": "\n".join(f"{x}) {text}" for x, text in zip(LETTERS, options, strict=False)),
    }
    return _FIELD.sub(lambda match: fields[match[1]], template)
