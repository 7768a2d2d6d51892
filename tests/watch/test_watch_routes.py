"""The routes of the page: what they answer, and to whom."""

import json
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from r1kit.watch.routes import build
from r1kit.watch.run_list import RunList
from tests.watch.runs import HOSTILE, write_watched_run


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        write_watched_run(folder / f"seed{seed}", seed=seed, text=HOSTILE)
    with TestClient(build(RunList([folder])), base_url="http://127.0.0.1:8765") as client:
        yield client


def test_the_page_and_its_files_are_there_with_their_policy(client: TestClient) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    for name in ("watch.js", "watch.css", "uplot/uPlot.iife.min.js", "uplot/LICENSE"):
        found = client.get(f"/static/{name}")
        assert found.status_code == 200
        assert found.headers["x-content-type-options"] == "nosniff"
    assert client.get("/static/../routes.py").status_code == 404


def test_only_this_machines_names_are_answered(client: TestClient) -> None:
    assert client.get("/api/runs", headers={"host": "evil.example:8765"}).status_code == 400
    assert client.get("/api/runs", headers={"host": "localhost:8765"}).status_code == 200
    assert (
        "access-control-allow-origin"
        not in client.get("/", headers={"origin": "http://x.y"}).headers
    )
    assert client.post("/api/runs").status_code == 405


def test_runs_are_sent_once_until_something_changes(client: TestClient) -> None:
    state = client.get("/api/runs?open=seed1").json()
    assert {run["id"] for run in state["runs"]} == {"seed0", "seed1"}
    assert [*state["open"]] == ["seed1"]
    again = client.get("/api/runs", params={"open": "seed1", "version": state["version"]})
    assert (again.status_code, again.content) == (204, b"")


def test_curves_of_several_runs_lie_over_each_other_or_form_a_band(client: TestClient) -> None:
    query = {"runs": "seed0,seed1", "stage": "zero", "metrics": "rewards/accuracy/mean,none"}
    answer = client.get("/api/curves", params=query).json()
    assert [*answer["charts"]["rewards/accuracy/mean"]] == ["seed0", "seed1"]
    assert answer["charts"]["none"] == {}
    assert answer["last"] == 40
    [together] = (
        client.get("/api/curves", params=query | {"band": "1"})
        .json()["charts"]["rewards/accuracy/mean"]
        .values()
    )
    assert together["n"] == 2
    assert together["high"][0] - together["low"][0] == pytest.approx(0.01)
    cut = client.get(
        "/api/curves", params=query | {"from": "10", "to": "12", "smooth": "0.5"}
    ).json()
    assert cut["charts"]["rewards/accuracy/mean"]["seed0"]["raw_x"] == [9, 10, 11, 12, 13]


def test_rollouts_are_found_read_and_exported(client: TestClient) -> None:
    query = {"run": "seed0", "verdict": "right", "order": "longest", "n": "3"}
    page = client.get("/api/rollouts", params=query).json()
    assert (len(page["rows"]), page["total"]) == (3, 16)
    row = page["rows"][0]
    group = client.get("/api/group", params={"run": "seed0", "group": row["group"]}).json()
    assert group["rollouts"][row["place"]]["n_tokens"] == row["n_tokens"]
    assert HOSTILE in group["problem"]["question"]  # it is JSON, and stays a text
    steps = client.get("/api/steps", params={"run": "seed0", "stage": "zero"}).json()["steps"]
    assert len(steps) == 8
    history = client.get("/api/problem", params={"run": "seed0", "problem": row["problem"]}).json()
    assert len(history) == 4
    exported = client.get("/api/export", params=query)
    assert "attachment" in exported.headers["content-disposition"]
    assert [json.loads(line)["correct"] for line in exported.text.splitlines()] == [True] * 16


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/curves?runs=nobody", 404),
        ("/api/rollouts?run=nobody", 404),
        ("/api/export?run=nobody", 404),
        ("/api/export?run=seed0&step=x", 404),
        ("/api/group?run=seed0&group=999", 404),
        ("/api/group?run=seed0&group=-1", 404),
        ("/api/group?run=seed0&group=x", 400),
        ("/api/rollouts?run=seed0&step=x", 400),
        ("/api/rollouts?run=seed0&n=1e9", 400),
        ("/api/curves?runs=seed0&smooth=x", 400),
        ("/api/curves?runs=seed0&stage=zero&metrics=entropy&smooth=nan&from=nan&width=-5", 200),
        ("/api/rollouts?run=seed0&n=-5&start=-7&order=none&verdict=none", 200),
    ],
)
def test_a_wrong_address_is_a_sentence_and_no_crash(
    client: TestClient, path: str, code: int
) -> None:
    answer = client.get(path)
    assert answer.status_code == code
    if code != 200 and "export" not in path:
        assert answer.json()["error"].endswith(".")
