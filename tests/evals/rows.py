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
}  # fmt: skip
"""file of a folder of data → its rows"""


def write(folder: Path, *names: str) -> Path:
    """Write some of the files, by default all, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ROWS:
        lines = [json.dumps(row, ensure_ascii=False) for row in ROWS[name]]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
