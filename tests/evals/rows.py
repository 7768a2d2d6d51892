"""Rows of the public sets, with the field names that they have on the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROWS: dict[str, list[dict[str, Any]]] = {
    "gsm8k_test.jsonl": [
        {"question": "Ann has 2 apples and buys 3. How many?", "answer": "2+3=<<2+3=5>>5\n#### 5"},
        {"question": "A robe takes 2 bolts and half of that. How many?", "answer": "2+1\n#### 3"},
        {"question": "How much is 1,000 twice?", "answer": "it is 2,000\n#### 2,000"},
    ],
    "math500_test.jsonl": [
        {"problem": "Write $1/2$ as a fraction.", "solution": "It is $\\boxed{\\frac{1}{2}}$.",
         "answer": "\\frac{1}{2}", "subject": "Algebra", "level": 1, "unique_id": "test/a/1.json"},
        {"problem": "Convert $(0,3)$.", "solution": "...",
         "answer": "\\left( 3, \\frac{\\pi}{2} \\right)", "subject": "Precalculus", "level": 2,
         "unique_id": "test/p/2.json"},
    ],
    "aime_2024.jsonl": [
        {"ID": "2024-I-1", "Problem": "Find the number of ways.", "Solution": "...", "Answer": 25},
        {"ID": "2024-I-2", "Problem": "Find x + y.", "Solution": "...", "Answer": 204},
    ],
    "aime25.jsonl": [
        {"id": "0", "problem": "Find the sum of all bases.", "answer": "070"},
        {"id": "1", "problem": "Find the area.", "answer": "588"},
    ],
    "aime26.jsonl": [
        {"id": 1, "problem": "Find m + n.", "answer": 277},
        {"id": 2, "problem": "Find the remainder.", "answer": "62"},
    ],
    "mmlu_test.jsonl": [
        {"question": "Find the degree of Q(sqrt(2)).", "subject": "abstract_algebra",
         "choices": ["0", "4", "2", "6"], "answer": 2},
        {"question": "What is heavier?", "subject": "physics",
         "choices": ["lead", "wood", "air", "water"], "answer": 0},
        {"question": "Which is a mammal?", "subject": "biology",
         "choices": ["whale", "shark", "newt", "crow"], "answer": "A"},
    ],
    "HumanEval.jsonl": [
        {"task_id": "HumanEval/0", "prompt": "def twice(x):\n    \"\"\"Double x.\"\"\"\n",
         "entry_point": "twice", "canonical_solution": "    return 2 * x\n",
         "test": "def check(candidate):\n    assert candidate(4) == 8\n"},
        {"task_id": "HumanEval/1", "prompt": "def thrice(x):\n    \"\"\"Triple x.\"\"\"\n",
         "entry_point": "thrice", "canonical_solution": "    return 3 * x\n",
         "test": "def check(candidate):\n    assert candidate(4) == 12\n"},
    ],
    "mbpp_sanitized.jsonl": [
        {"task_id": 2, "prompt": "Write a function to double a number.",
         "code": "def twice(x):\n    return 2 * x", "test_imports": [],
         "test_list": ["assert twice(2) == 4", "assert twice(5) == 10"]},
        {"task_id": 3, "prompt": "Write a function to triple a number.",
         "code": "def thrice(x):\n    return 3 * x", "test_imports": [],
         "test_list": ["assert thrice(2) == 6"]},
    ],
    "gpqa_diamond.jsonl": [
        {"Question": "Which particle is heavier?", "Correct Answer": "proton",
         "Incorrect Answer 1": "electron", "Incorrect Answer 2": "photon",
         "Incorrect Answer 3": "neutrino\n", "High-level domain": "Physics"},
        {"Question": "Which base pairs with A?", "Correct Answer": "T", "Incorrect Answer 1": "C",
         "Incorrect Answer 2": "G", "Incorrect Answer 3": "U", "High-level domain": "Biology"},
    ],
    "mmlu_redux.jsonl": [
        {"question": "2 + 2?", "choices": ["3", "4", "5", "6"], "answer": 1, "error_type": "ok",
         "source": "", "correct_answer": None, "potential_reason": ""},
        {"question": "3 + 3?", "choices": ["3", "4", "5", "6"], "answer": 1,
         "error_type": "wrong_groundtruth", "correct_answer": "D", "potential_reason": ""},
        {"question": "?", "choices": ["3", "4", "5", "6"], "answer": 1,
         "error_type": "bad_question_clarity", "correct_answer": None, "potential_reason": ""},
    ],
    "mmlu_pro.jsonl": [
        {"question_id": 70, "question": "Which letter?", "options": [*"JIHGFEDCBA"], "answer": "I",
         "answer_index": 8, "cot_content": "", "category": "law", "src": "x"},
    ],
    "ceval_val.jsonl": [
        {"id": 0, "question": "下列哪个是素数？", "A": "4", "B": "6", "C": "7", "D": "9",
         "answer": "C", "explanation": ""},
    ],
    "cmmlu_test.jsonl": [
        {"Question": "中国的首都是？", "A": "上海", "B": "北京", "C": "广州", "D": "天津",
         "Answer": "B"},
    ],
    "cnmo.jsonl": [{"question": "求最小的正整数 n。", "answer": "$\\frac{1}{2}$"}],
    "HumanEvalPlus.jsonl": [
        {"task_id": "HumanEval/0", "prompt": "def half(x):\n    \"\"\"Halve x.\"\"\"\n",
         "entry_point": "half", "canonical_solution": "    return x / 2\n",
         "test": "def check(candidate):\n    for x in [4]:\n        assert candidate(x) == x / 2"},
    ],
    "MbppPlus.jsonl": [
        {"task_id": 2, "code": "def twice(x):\n    return 2 * x", "prompt": "Double a number.",
         "source_file": "", "test_imports": [], "test_list": ["assert twice(2) == 4"],
         "test": "def same(a, b):\n    assert a == b\n\ninputs = [[2], [5]]\nresults = [4, 10]\n"
                 "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
                 "    same(twice(*inp), exp)\n"},
    ],
    "hrm8k.jsonl": [
        {"question": "사과 2개와 3개는 몇 개인가?", "answer": 5.0,
         "original": "How many are 2 and 3 apples?"},
    ],
    "kmmlu_test.jsonl": [
        {"question": "가장 무거운 것은?", "answer": 1, "A": "납", "B": "나무",
         "C": "물", "D": "공기", "Category": "Physics", "Human Accuracy": 0.5},
    ],
    "ifeval.jsonl": [
        {"key": 1, "prompt": "Name a colour. Use no commas, and end with the word DONE.",
         "instruction_id_list": ["punctuation:no_comma", "startend:end_checker"],
         "kwargs": [{}, {"end_phrase": "DONE"}]},
    ],
    "livecodebench.jsonl": [
        {"question_title": "A", "question_content": "Print twice the number.",
         "platform": "atcoder", "question_id": f"abc{month}", "contest_id": "x",
         "contest_date": f"2024-{month}-03T00:00:00",
         "starter_code": "", "difficulty": "easy", "metadata": "{}",
         "public_test_cases": '[{"input": "2", "output": "4", "testtype": "stdin"}]',
         "private_test_cases": '[{"input": "5", "output": "10", "testtype": "stdin"}]'}
        for month in ("07", "08", "12")
    ],
    "codeforces.jsonl": [
        {"id": "1/A", "title": "Twice", "description": "Print twice the number.", "rating": 800,
         "input_format": "A number.", "output_format": "A number.", "note": None,
         "examples": [{"input": "2", "output": "4"}], "time_limit": 1.0, "memory_limit": 256.0,
         "official_tests": [{"input": "3", "output": "6"}], "generated_checker": None,
         "input_mode": "stdio"},
    ],
    "simpleqa.jsonl": [
        {"metadata": "{'topic': 'Geography'}", "problem": f"What is the capital of {country}?",
         "answer": capital}
        for country, capital in (("France", "Paris"), ("Peru", "Lima"), ("Chad", "N'Djamena"))
    ],
    "frames.jsonl": [
        {"Unnamed: 0": 0, "Prompt": "Who came first?", "Answer": "Ann", "wikipedia_link_1": "x",
         "reasoning_types": "Temporal reasoning", "wiki_links": "['x']"},
    ],
    "alpacaeval.jsonl": [
        {"instruction": f"Write a {what}.", "output": "a baseline!", "dataset": "koala",
         "generator": "gpt4_1106_preview"}
        for what in ("poem", "list")
    ],
    "arenahard.jsonl": [
        {"question_id": what, "category": "arena-hard-v0.1", "cluster": "Writing",
         "turns": [{"content": f"Write a {what}."}]}
        for what in ("poem", "list")
    ],
    "arenahard_baseline.jsonl": [
        {"question_id": what, "answer_id": "x", "model_id": "gpt-4-0314", "tstamp": 1.0,
         "choices": [{"index": 0, "turns": [{"content": "a baseline!", "token_len": 4}]}]}
        for what in ("poem", "list")
    ],
}  # fmt: skip
"""file of a folder of data → its rows"""


def write(folder: Path, *names: str) -> Path:
    """Write some of the files, by default all, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ROWS:
        lines = [json.dumps(row, ensure_ascii=False) for row in ROWS[name]]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
