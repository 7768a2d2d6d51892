"""Stored responses of `/v1/responses`: one SQLite file with a limit and an age.

Every response is a row of its own, with the whole conversation that it ended, so that deleting an
older one breaks no conversation. A row belongs to the API key that asked for it; the file has only
a digest of that key. A row is written in one transaction before the end of its answer is sent: a
server that is killed loses no response that a client has seen whole, and no file is half written.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from r1kit.errors import ConfigError
from r1kit.files.untrusted import read_json, to_bytes
from r1kit.serve.api_error import ApiError
from r1kit.types import Json

_APPLICATION = 0x72_31_72_73
"""number in the header of the file that tells whose it is"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    created REAL NOT NULL,
    size INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS sizes ON responses (number, size);
CREATE INDEX IF NOT EXISTS ages ON responses (created);
"""
_EVICT = """
DELETE FROM responses WHERE number IN (
    SELECT number FROM (
        SELECT number, SUM(size) OVER (ORDER BY number DESC) AS total FROM responses
    ) WHERE total > ?
)
"""
T = TypeVar("T")

log = logging.getLogger("r1kit.serve")


class StoredResponse(NamedTuple):
    """A response, and the items of the conversation that it ended."""

    response: Json
    items: list[Json]


class ResponseStore:
    """The stored responses of a server. All access to the file is in one thread."""

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        max_age_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file. Raises ConfigError if it cannot be one of these."""
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._connection = _opened(path)
        self._executor = ThreadPoolExecutor(1, "responses")

    async def get(self, owner: str, response_id: str) -> StoredResponse | None:
        """Return a response of this owner; None if there is none, or it is too old."""
        return await self._do(partial(self._get, owner, response_id))

    async def put(self, owner: str, response_id: str, stored: StoredResponse) -> None:
        """Store a response, and delete those that are too old or too many."""
        await self._do(partial(self._put, owner, response_id, stored))

    async def delete(self, owner: str, response_id: str) -> bool:
        """Delete a response; return False if this owner has none of this id."""
        return await self._do(partial(self._delete, owner, response_id))

    def close(self) -> None:
        """Finish what is being written and close the file."""
        self._executor.shutdown()
        self._connection.close()

    async def _do(self, work: Callable[[], T]) -> T:
        """Do the work in the thread, as one transaction. Raises ApiError if the file fails."""

        def transaction() -> T:
            with self._connection:
                return work()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, transaction)
        except sqlite3.Error as error:
            log.error("the file of stored responses fails", exc_info=error)
            raise ApiError(
                500, "The stored responses cannot be read or written; see the server's log."
            ) from None

    def _get(self, owner: str, response_id: str) -> StoredResponse | None:
        row = self._connection.execute(
            "SELECT body FROM responses WHERE id = ? AND owner = ? AND created >= ?",
            (response_id, owner, self._clock() - self._max_age_s),
        ).fetchone()
        return None if row is None else StoredResponse(*read_json(row[0]))

    def _put(self, owner: str, response_id: str, stored: StoredResponse) -> None:
        now, body = self._clock(), to_bytes([*stored])
        self._connection.execute(
            "INSERT INTO responses (id, owner, created, size, body) VALUES (?, ?, ?, ?, ?)",
            (response_id, owner, now, len(body), body),
        )
        oldest = now - self._max_age_s
        self._connection.execute("DELETE FROM responses WHERE created < ?", (oldest,))
        self._connection.execute(_EVICT, (self._max_bytes,))

    def _delete(self, owner: str, response_id: str) -> bool:
        # An old one is deleted too, but there is none for the client.
        is_there = self._get(owner, response_id) is not None
        self._connection.execute(
            "DELETE FROM responses WHERE id = ? AND owner = ?", (response_id, owner)
        )
        return is_there


def open_store(path: Path | None, max_mb: int, max_days: float) -> ResponseStore | None:
    """Open the file of `r1 serve --store`, if there is one. Raises ConfigError."""
    return None if path is None else ResponseStore(path, max_mb * 10**6, max_days * 86_400)


def _opened(path: Path) -> sqlite3.Connection:
    """Open the file, which only its user can read."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"--store {path}: The file cannot be opened ({error}).") from None
    try:
        [number] = connection.execute("PRAGMA application_id").fetchone()
        [n_tables] = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if number != _APPLICATION and n_tables:
            raise sqlite3.DatabaseError("another program's database")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.executescript(_SCHEMA)
    except sqlite3.Error as error:
        connection.close()
        raise ConfigError(
            f"--store {path}: It is no file of stored responses ({error}); name another one."
        ) from None
    return connection
