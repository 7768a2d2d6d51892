"""`r1 sample` as its users meet it, from a model here and from a teacher on a server."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from r1kit import cli
from r1kit.http import client
from r1kit.types import Json
from tests.serve.conftest import Server
from tests.servers import Body, Reply, refusal, said, scripted

KEY = "sk-secret-0123"
QUESTIONS = [
    {"problem": f"Tom has {n} apples and gets {n} more. How many are there?", "answer": str(2 * n)}
    for n in range(1, 9)
]
RECIPE = 'name = "little"\nlanguages = ["en"]\n[[tasks]]\nname = "equation"\n'


def sample(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["sample", *map(str, arguments)])


def rows(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "FIRST_WAIT_S", 0.001)
    monkeypatch.setenv("R1_TEACHER_KEY", KEY)
    Path("q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    Path("little.toml").write_text(RECIPE)


def teacher(index: int, body: Body) -> Reply:
    """Right at every other seed, by adding in its head."""
    number = int(re.findall(r"\d+", body["messages"][0]["content"])[0])
    actual = 2 * number if body["seed"] % 2 else 99
    return said(f"\\boxed{{{actual}}}", reasoning_content=f"{number} and {number} make {actual}")


def test_a_teacher_on_a_server_writes_rows_with_their_origin() -> None:
    with scripted(
        lambda i, body: refusal(400, "n must be 1") if "n" in body else teacher(i, body)
    ) as server:
        result = sample(server.url, "--problems", "q.jsonl", "--out", "data.jsonl", "--n", 2)
        url = server.url
    assert result.exit_code == 0, result.output
    remaining = rows(Path("data.jsonl"))
    assert len(remaining) == 8
    assert remaining[0]["messages"] == [
        {"role": "user", "content": QUESTIONS[0]["problem"]},
        {"role": "assistant", "content": "\\boxed{2}", "reasoning_content": "1 and 1 make 2"},
    ]
    origin = remaining[0]["provenance"]
    assert origin["problem"] == "q/1"
    assert origin["checkpoint"] == f"{url} m"
    assert origin["verdict"]["outcome"] == "correct"
    assert origin["pass_rate"] == 0.5
    assert origin["n_tokens"] is None
    assert re.search(r"correct +16 +8 +8", result.stdout)
    assert "8 problems, 16 completions with a verdict, 0 undecided." in result.stdout
    assert "Conversations: data.jsonl\nAll rollouts:  data.jsonl.rollouts" in result.stdout
    written = "".join(path.read_text() for path in Path().iterdir())
    assert KEY not in written + result.output


def test_a_teacher_that_goes_away_costs_nothing_that_was_answered() -> None:
    arguments = ("--problems", "q.jsonl", "--out", "data.jsonl", "--n", 1)
    alone = ("--problems", "q.jsonl", "--out", "alone.jsonl", "--n", 1)
    is_down = False

    def moody(index: int, body: Body) -> Reply:
        return (
            refusal(500, f"boom {KEY}")
            if is_down and "has 5" in str(body)
            else teacher(index, body)
        )

    with scripted(moody) as server:
        assert sample(server.url, *alone).exit_code == 0
        is_down = True
        failed = sample(server.url, *arguments)
        n_before = len(server.requests)
        is_down = False
        result = sample(server.url, *arguments)
        n_asked = len(server.requests) - n_before
    assert failed.exit_code == 5
    assert "HTTP 500: boom ***" in failed.stderr
    assert "the same command continues from there" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert n_asked == 1
    assert result.exit_code == 0
    assert Path("data.jsonl").read_bytes() == Path("alone.jsonl").read_bytes()


def test_a_request_that_is_refused_does_not_stop_the_others() -> None:
    def strict(index: int, body: Body) -> Reply:
        return refusal(400, "no fives") if "has 5" in str(body) else teacher(index, body)

    with scripted(strict) as server:
        result = sample(server.url, "--problems", "q.jsonl", "--out", "data.jsonl", "--n", 1)
    assert result.exit_code == 0, result.output
    assert "1 of 8 problems were refused" in result.stderr
    assert "no fives" in result.stderr
    assert "7 completions with a verdict, 1 undecided" in result.stdout


def test_a_server_that_refuses_everything_is_asked_in_a_wrong_way() -> None:
    with scripted([refusal(400, "max_tokens is too large")]) as server:
        result = sample(server.url, "--problems", "q.jsonl", "--out", "data.jsonl")
    assert result.exit_code == 5
    assert "max_tokens is too large" in result.stderr
    assert len(Path("data.jsonl.rollouts").read_text().splitlines()) == 1


def test_questions_of_a_benchmark_are_left_out() -> None:
    Path("bench.jsonl").write_text(json.dumps({"question": QUESTIONS[2]["problem"]}))
    with scripted(teacher) as server:
        result = sample(server.url, "--problems", "q.jsonl", "--out", "data.jsonl", "--n", 1,
                      "--seed", 1, "--benchmark", "mine=bench.jsonl")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "mine exact 1" in result.stdout
    assert "q/3" not in {row["provenance"]["problem"] for row in rows(Path("data.jsonl"))}


def test_our_own_server_can_be_the_teacher(server: Server) -> None:
    result = sample(f"{server.url}/v1", "--problems", "q.jsonl", "--out", "data.jsonl", "--n", 2,
                  "--max-tokens", 8, "--count", 3)  # fmt: skip
    assert result.exit_code == 8  # noise has no right answer
    assert "correct rejected 6 of 6" in result.stderr
    groups = rows(Path("data.jsonl.rollouts"))[1:]
    assert [len(group["rollouts"]) for group in groups] == [2, 2, 2]
    assert len({item["text"] for group in groups for item in group["rollouts"]}) == 6


def test_a_checkpoint_samples_the_problems_of_a_recipe(folder: Path) -> None:
    arguments = (folder, "--problems", "little.toml", "--n", 2, "--max-tokens", 8, "--count", 5)
    result = sample(*arguments, "--out", "data.jsonl", "--split", "held_out", "--max-num-seqs", 3)
    assert result.exit_code == 8
    assert "No conversation is left of 10 rollouts: correct rejected 10 of 10" in result.stderr
    assert "All rollouts are in data.jsonl.rollouts." in result.stderr
    content = Path("data.jsonl.rollouts").read_bytes()
    Path("again.jsonl.rollouts").write_bytes(content[: len(content) // 2])
    sample(*arguments, "--out", "again.jsonl", "--split", "held_out", "--max-num-seqs", 3)
    assert Path("again.jsonl.rollouts").read_bytes() == content
    settings, first, *_ = rows(Path("data.jsonl.rollouts"))
    assert settings["checkpoint"] == str(folder)
    assert first["problem"]["id"].startswith("equation/")
    assert len(first["rollouts"][0]["token_ids"]) == 8


def test_a_recipe_without_so_many_problems_gives_those_it_has(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from r1kit.rollouts import sample as sampling

    monkeypatch.setattr(sampling, "MAX_DUPLICATES", 30)
    Path("tiny.py").write_text(
        "from r1kit.tasks.base import Task\nfrom r1kit.types import Message, Problem, Verdict\n"
        "class Two(Task):\n    name = 'two'\n"
        "    def problem(self, i):\n        return Problem(f'two/{i % 2}', 'two',"
        " (Message('user', f'{i % 2}?'),), 'yes', 'en')\n"
        "    def verify(self, problem, answer):\n"
        "        return Verdict('yes' in answer, None, '')\n"
    )
    Path("two.toml").write_text('name = "two"\n[[tasks]]\nname = "tiny.py:Two"\n')
    sample(folder, "--problems", "two.toml", "--out", "data.jsonl", "--max-tokens", 4)
    assert len(rows(Path("data.jsonl.rollouts"))) == 3


def test_help_has_examples() -> None:
    assert "r1 sample https://api.deepseek.com/v1 --model" in sample("--help").stdout


BAD = """{"problem": "1+1?", "answer": 2}
{"problem": "1+1?"
[1]
{"question": " ", "answer": "2"}
{"messages": [{"role": "assistant", "content": "2"}], "answer": "2"}
{"messages": [{"role": "robot", "content": "2"}], "answer": "2"}
{"problem": "1+1?", "answer": true}
"""


BAD_TOLD = (
    'line 2 is not JSON; line 3 is not a JSON object; line 4 has no text at "problem", and no '
    'messages; line 5 has "problem" messages that do not end with the user; line 6 has "problem" '
    "messages without a role (system, user, assistant) or a content and 1 more. 6 of 7 rows cannot "
    "be used: correct them, map the columns"
)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["none", "q.jsonl", "d.jsonl"], 3, "There is no checkpoint at none"),
        (["MODEL", "none.jsonl", "d.jsonl"], 2, "There is no file none.jsonl."),
        (["MODEL", "none.toml", "d.jsonl"], 2, "There is no recipe at none.toml"),
        (["MODEL", "q.csv", "d.jsonl"], 2, "There is no file q.csv; did you mean q.jsonl?"),
        (["MODEL", "q", "d.jsonl"], 2, "a name that `r1 recipes` lists) or a file of questions"),
        (["MODEL", "thesis.tex", "d.jsonl"], 2, "has a name that tells no format; rename it"),
        (["MODEL", "empty.jsonl", "d.jsonl"], 2, "empty.jsonl is empty; a row has a problem"),
        (["MODEL", "bad.jsonl", "d.jsonl"], 2, BAD_TOLD),
        (["MODEL", "twice.jsonl", "d.jsonl"], 2, "line 2 has the id of line 1"),
        (["MODEL", "half.jsonl", "d.jsonl"], 2, "line 1 has half of a surrogate pair"),
        (["MODEL", "q.jsonl", "q.jsonl"], 2, "--out would overwrite the problems"),
        (["MODEL", "q.jsonl", "thesis.tex"], 4, "exists and was not made by `r1 sample`"),
        (["MODEL", "q.jsonl", "thesis.tex/d.jsonl"], 4, "is in the way); use another --out"),
        (["MODEL", "q.jsonl", "."], 4, "is a folder"),
        (["MODEL", "long.jsonl", "d.jsonl"], 5, "long/1 has"),
        (["MODEL", "q.jsonl", "d.jsonl", "--split", "test"], 2, "There is no split 'test'"),
        (["MODEL", "q.jsonl", "d.jsonl", "--benchmark", "x"], 2, "write NAME=FILE.jsonl"),
        (["MODEL", "q.jsonl", "d.jsonl", "--benchmark", "x=no"], 2, "There is no file no."),
        (["http://127.0.0.1:9/v1", "q.jsonl", "d.jsonl"], 5, "gave no answer in 5 tries"),
        (["http://me:sk-secret-0123@h/v1", "q.jsonl", "d.jsonl"], 2, "holds no key"),
    ],
)  # fmt: skip
def test_what_a_user_can_mend_is_one_sentence(
    folder: Path, arguments: list[str], code: int, expected: str
) -> None:
    Path("bad.jsonl").write_text(BAD)
    Path("empty.jsonl").write_text("\n")
    Path("thesis.tex").write_text("mine")
    twice = json.dumps({"id": 7, "problem": "1+1?", "answer": "2"})
    Path("twice.jsonl").write_text(f"{twice}\n{twice}\n")
    Path("half.jsonl").write_text('{"problem": "1+1? \\ud800", "answer": "2"}')
    Path("long.jsonl").write_text(json.dumps({"problem": "1+1? " * 400, "answer": "2"}))
    model, problems, out, *more = arguments
    model = str(folder) if model == "MODEL" else model
    result = sample(model, "--problems", problems, "--out", out, *more)
    assert result.exit_code == code, result.output
    assert expected in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert KEY not in result.output
    assert Path("thesis.tex").read_text() == "mine"
    assert len(rows(Path("q.jsonl"))) == 8
