"""Docstrings are sentences, the glossary is complete, and the whole stays small enough to read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.laws.test_names import defined

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "r1kit").rglob("*.py"))
MAX_FRAGMENTS = 0.03
MAX_LINES = 68_450
"""of Python in r1kit/, docstrings included. It had 34,100 before the seams for policies, renderers,
evaluations, engines and extras, 35,400 with them. Real bases add data of one's own (questions,
traces, conversations and preferences in every usual form: 2,400 lines), little memory (chunked
log-probabilities, adapters, master weights, kept checkpoints: 1,000), architectures and GGUF (600),
the forecast of a run (2,200), prompts, cards and export (1,400), bfloat16 on a CPU (300). What real
answers look like took 2,700: a grammar of statements in three languages, units, blocks of code and
rules of comparison; rare notations, numbers in words and words that are answers 900 more. The R1
benchmarks are 5,200: the suite with its protocols, log, grading,
statistics and report (3,900), IFEval's instructions, ratings and long contexts (1,300). What API
clients send took 600: every spelling of thinking, fields without effect, plain refusals, penalties.
Anthropic's route, tokens and stored responses took 1,050. Tools took 1,300: their fields, the
prompts, four formats of calls, streams, the server behind. What evaluators, editors and servers
behind the front send took 850: scored prompts in every engine, lists of prompts, gaps, best_of,
hidden control tokens, everything passed on, old HTTP.
Judges, a rating in r1 eval and evaluation during RL took 800, expected
times and a tried base 700, and clusters 1,900: vLLM as a sampler that dies and comes back (1,000),
torchrun and shards with their checkpoints (900). r1 run kept its own start of ranks beside
torchrun's, because it answers Ctrl-C and a dead rank within seconds. What every rank spends a step
on, with FLOPs and MFU, took 300 lines, plans for numbers of GPUs, known models among them, 300. The
page of r1 watch took 1,750: files that grow, an index of rollouts, curves for a screen, what a run
records for it. Figures for talks in three languages took 760, r1 push 220, the load and the
price of a run 80. Settings of answers, continued answers, and comparisons with verdicts, bars and
curves took 640, adapters on vLLM 130. Findings and reports in Korean and Chinese took 400, calls as
DeepSeek-V3.2 and Mistral write them 200, vLLM's memory in plans 90, entropies of recorded tokens
80, the grammar of strict tools 170, completions that fit a plan 40."""
FRAGMENT = re.compile(
    r"(of|by|as|with|without|in|at|for|from|to|on|under|behind|beside|between|after|before|what|"
    r"which|where|who|whoever|whose|whether|how|when|while|why|those|all|if|until|because|and|or|"
    r"but|not|so|than|out)\b",
    re.IGNORECASE,
)


def docstrings(tree: ast.Module) -> Iterator[str]:
    """Docstrings of functions, classes and fields; a module's is a heading."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from filter(None, [ast.get_docstring(node)])
        if isinstance(node, ast.ClassDef | ast.Module):
            for field, after in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.Assign | ast.AnnAssign)
                    and isinstance(after, ast.Expr)
                    and isinstance(after.value, ast.Constant)
                    and isinstance(after.value.value, str)
                ):
                    yield after.value.value.strip()


def test_docstrings_are_no_fragments() -> None:
    texts = [text for path in FILES for text in docstrings(ast.parse(path.read_text("utf-8")))]
    fragments = [text for text in texts if FRAGMENT.match(text)]
    assert len(texts) > 2000
    assert len(fragments) < MAX_FRAGMENTS * len(texts), fragments


def test_the_glossary_has_every_public_class_and_alias() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    glossary = set(re.findall(r"`(\w+)`", page.split("## Words")[1]))
    public = {name for path in FILES for name in defined(path) if not name.startswith("_")}
    assert public - glossary == set()


def test_the_whole_stays_small() -> None:
    n_lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES)
    print(f"r1kit/ has {n_lines} lines of Python")
    assert n_lines <= MAX_LINES
