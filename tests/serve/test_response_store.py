"""Stored responses: private to a key, bounded, and there after a kill."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import openai
import pytest

from r1kit.errors import ConfigError
from r1kit.files.untrusted import to_bytes
from r1kit.serve.api_error import ApiError
from r1kit.serve.response_store import ResponseStore, StoredResponse, open_store
from tests.hostile import HALF, as_bytes
from tests.serve.conftest import Server, opened, running

T = TypeVar("T")
STORED = StoredResponse({"id": "resp_1", "output": []}, [{"role": "user", "content": "7x 다시"}])
FIELDS: dict[str, Any] = {"model": "tiny", "max_output_tokens": 12}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses.db"


@pytest.fixture
def store(path: Path) -> Iterator[ResponseStore]:
    one = ResponseStore(path, 10**6, 60, Clock())
    yield one
    one.close()


def test_a_response_is_its_owners_alone(store: ResponseStore, path: Path) -> None:
    run(store.put("a", "resp_1", STORED))
    assert run(store.get("a", "resp_1")) == STORED
    for owner, name in (("b", "resp_1"), ("", "resp_1"), ("a", "resp_2")):
        assert run(store.get(owner, name)) is None
        assert not run(store.delete(owner, name))
    assert run(store.delete("a", "resp_1"))
    assert run(store.get("a", "resp_1")) is None
    for part in path.parent.iterdir():
        assert stat.S_IMODE(part.stat().st_mode) == 0o600, part
        assert "다시".encode() not in part.read_bytes() or part.name.endswith("-wal")


def test_old_ones_go(path: Path) -> None:
    clock = Clock()
    store = ResponseStore(path, 10**6, 60, clock)
    run(store.put("", "resp_1", STORED))
    clock.now += 60
    assert run(store.get("", "resp_1")) == STORED
    clock.now += 1
    assert run(store.get("", "resp_1")) is None
    assert not run(store.delete("", "resp_1"))
    run(store.put("", "resp_2", STORED))
    store.close()
    assert n_rows(path) == 1


def test_the_newest_stay_within_the_limit(path: Path) -> None:
    body = len(to_bytes([*STORED]))
    store = ResponseStore(path, 10 * body, 60, Clock())
    for number in range(40):
        run(store.put("", f"resp_{number}", STORED))
    kept = [number for number in range(40) if run(store.get("", f"resp_{number}"))]
    assert kept == list(range(30, 40))
    run(store.put("", "large", StoredResponse({"text": "x" * 5 * body}, [])))
    assert run(store.get("", "large"))
    run(store.put("", "too large", StoredResponse({"text": "x" * 11 * body}, [])))
    assert n_rows(path) == 0
    store.close()


def test_the_file_stays_small(path: Path) -> None:
    store = ResponseStore(path, 10**6, 60, Clock())
    for number in range(200):
        run(store.put("", f"resp_{number}", StoredResponse({"text": "x" * 50_000}, [])))
    store.close()
    assert path.stat().st_size < 3e6
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_a_store_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("my notes, which must not be lost" * 100)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE responses (id TEXT)")
    connection.close()
    for path in (text, other, tmp_path, tmp_path / "no" / "such.db"):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(ConfigError, match="--store"):
            open_store(path, 16, 1)
        assert before is None or path.read_bytes() == before
    assert open_store(None, 16, 1) is None


def test_a_file_that_fails_is_an_error_and_no_crash(path: Path) -> None:
    store = ResponseStore(path, 10**6, 60)
    run(store.put("", "resp_1", STORED))
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE responses")
    connection.close()
    for work in (store.get("", "resp_1"), store.put("", "resp_2", STORED)):
        with pytest.raises(ApiError) as failed:
            run(work)
        assert failed.value.status == 500
    store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from r1kit.serve.response_store import ResponseStore, StoredResponse

async def main():
    store = ResponseStore(Path(sys.argv[1]), 10**9, 1e9)
    for number in range(10**6):
        await store.put("", f"resp_{number}", StoredResponse({"text": "x" * 100_000}, []))
        print(number, flush=True)

asyncio.run(main())
"""


def test_a_kill_loses_nothing_that_was_told(path: Path) -> None:
    for enough in (1, 7, 19):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(enough)]
            os.kill(writer.pid, signal.SIGKILL)
            told += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
        store = ResponseStore(path, 10**9, 1e9)
        for number in told:
            stored = run(store.get("", f"resp_{number}"))
            assert stored is not None
            assert len(stored.response["text"]) == 100_000
            assert run(store.delete("", f"resp_{number}"))
        assert not run(store.delete("", f"resp_{told[-1] + 2}"))
        store.close()
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            connection.execute("DELETE FROM responses")
        connection.close()


def n_rows(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        n: int = connection.execute("SELECT COUNT(*) FROM responses").fetchone()[0]
    connection.close()
    return n


@pytest.fixture(scope="module")
def storing(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("store") / "responses.db"
    store = ResponseStore(path, 10**7, 1e6)
    with running([opened(folder)], keys=["one", "two"], store=store) as server:
        yield server


@pytest.fixture
def client(storing: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{storing.url}/v1", api_key="one", max_retries=0) as one:
        yield one


def test_a_conversation_goes_on_from_a_stored_response(client: openai.OpenAI) -> None:
    first = client.responses.create(**FIELDS, input="7x + 3 = 38", instructions="Be short.")
    assert first.store
    second = client.responses.create(**FIELDS, input="sure?", previous_response_id=first.id)
    third = client.responses.create(**FIELDS, input="really?", previous_response_id=second.id)
    said: Any = [{"role": "user", "content": "7x + 3 = 38"}, *first.output,
                 {"role": "user", "content": "sure?"}, *second.output,
                 {"role": "user", "content": "really?"}]  # fmt: skip
    whole = client.responses.create(**FIELDS, input=said, store=False)
    assert third.usage is not None
    assert whole.usage is not None
    assert third.usage.input_tokens == whole.usage.input_tokens
    assert third.previous_response_id == second.id
    count = client.responses.input_tokens.count(
        model="tiny", input="really?", previous_response_id=second.id
    )
    assert count.input_tokens == third.usage.input_tokens
    client.responses.delete(first.id)
    again = client.responses.create(**FIELDS, input="really?", previous_response_id=second.id)
    assert again.usage is not None
    assert again.usage.input_tokens == third.usage.input_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_a_stored_response_is_what_was_answered(client: openai.OpenAI, stream: bool) -> None:
    fields: dict[str, Any] = {**FIELDS, "input": "7x", "reasoning": {"summary": "auto"}}
    if stream:
        *_, last = client.responses.create(**fields, stream=True)
        assert isinstance(last.sequence_number, int)
        response: Any = last.response
    else:
        response = client.responses.create(**fields)
    assert client.responses.retrieve(response.id) == response
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(response.id)


def test_another_key_has_other_responses(client: openai.OpenAI, storing: Server) -> None:
    mine = client.responses.create(**FIELDS, input="7x + 3 = 38")
    theirs = client.with_options(api_key="two")
    with pytest.raises(openai.NotFoundError) as hidden:
        theirs.responses.retrieve(mine.id)
    with pytest.raises(openai.NotFoundError) as missing:
        theirs.responses.retrieve("resp_none")
    assert hidden.value.body == missing.value.body
    with pytest.raises(openai.NotFoundError):
        theirs.responses.delete(mine.id)
    with pytest.raises(openai.BadRequestError) as refused:
        theirs.responses.create(**FIELDS, input="sure?", previous_response_id=mine.id)
    assert refused.value.code == "previous_response_not_found"
    path, headers = f"/v1/responses/{mine.id}", {"x-api-key": "one"}
    assert storing.client.get(path).status_code == 401
    assert storing.client.get(path, headers=headers).json()["id"] == mine.id


def test_what_is_not_to_be_stored_is_not(client: openai.OpenAI) -> None:
    response = client.responses.create(**FIELDS, input="7x + 3 = 38", store=False)
    assert response.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError):
        next(iter(client.responses.retrieve("resp_1", stream=True)))


def test_hostile_ids_are_not_there(storing: Server) -> None:
    headers = {"x-api-key": "one"}
    for name in ("%ed%a0%bd", "%00", "'%20OR%201=1", "x" * 3000, "다시"):
        answer = storing.client.get(f"/v1/responses/{name}", headers=headers)
        assert answer.status_code == 404, name
        assert storing.client.delete(f"/v1/responses/{name}", headers=headers).status_code == 404
    body = {**FIELDS, "input": "hi"}
    for bad in (HALF, "\0", "x" * 65, 5, ["a"]):
        answer = storing.client.post(
            "/v1/responses", headers={**headers, "Content-Type": "application/json"},
            content=as_bytes({**body, "previous_response_id": bad}),
        )  # fmt: skip
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "previous_response_id"


def test_a_long_conversation_ends_in_a_sentence(client: openai.OpenAI) -> None:
    items: Any = [{"role": "user", "content": "a"}] * 511
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**FIELDS, input=items)
    assert refused.value.code == "context_length_exceeded"
    first = client.responses.create(**FIELDS, input="7x", reasoning={"effort": "none"})
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**FIELDS, input=items, previous_response_id=first.id)
    assert "more than 512 messages" in str(refused.value)


def test_who_leaves_stores_nothing(folder: Path, path: Path) -> None:
    with running([opened(folder)], store=ResponseStore(path, 10**7, 1e6)) as server:
        body = {"model": "tiny", "input": "hi", "max_output_tokens": 400, "stream": True}
        with server.client.stream("POST", "/v1/responses", json=body) as answer:
            next(answer.iter_bytes())
        server.wait_idle()
        assert n_rows(path) == 0
        kept = server.client.post("/v1/responses", json={**body, "max_output_tokens": 3})
        assert kept.status_code == 200
        assert n_rows(path) == 1


def test_a_file_that_fails_ends_the_answer_with_an_error(
    folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ResponseStore(path, 10**7, 1e6)

    def fail(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store, "_put", fail)
    with running([opened(folder)], store=store) as server:
        body = {**FIELDS, "input": "hi"}
        assert server.client.post("/v1/responses", json=body).status_code == 500
        streamed = server.client.post("/v1/responses", json={**body, "stream": True}).text
        assert "cannot be read or written" in streamed.strip().split("\n\n")[-1]
        assert "response.completed" not in streamed
        allowed: httpx.Response = server.client.post("/v1/responses", json={**body, "store": False})
        assert allowed.status_code == 200
        server.wait_idle()
