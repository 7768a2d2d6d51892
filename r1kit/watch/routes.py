"""The routes of `r1 watch`: a page, its files, and what it asks for; all of them only read.

Only requests to this machine's own names are answered, so that a web page whose name was made to
resolve to 127.0.0.1 reads nothing. The page loads and sends nothing elsewhere, and none of its
texts can become a script (Content-Security-Policy).
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r1kit.diagnose.finding_texts import FINDING_TEXTS
from r1kit.files.untrusted import to_bytes
from r1kit.watch.curves import CurveView, band, curve
from r1kit.watch.overview import details, summary
from r1kit.watch.rollout_index import RolloutFilter
from r1kit.watch.rollout_page import exported, group_page, problem_history, rollout_rows
from r1kit.watch.run_list import RunList
from r1kit.watch.watched_run import WatchedRun

STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
    "cross-origin-resource-policy": "same-origin",
}
MAX_OPEN_RUNS = 12
MAX_METRICS = 60
MAX_ROWS = 200
Query = Mapping[str, str]


class MarkedResponses:
    """ASGI middleware that adds the security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_marked)


class NotFoundError(Exception):
    """A request for a run or a group that is not there."""


def build(runs: RunList) -> Starlette:
    """Return the app that serves the page of these runs."""
    pages = WatchPages(runs)
    answers: dict[str, Callable[[Query], Any]] = {
        "/api/runs": pages.runs,
        "/api/curves": pages.curves,
        "/api/rollouts": pages.rollouts,
        "/api/steps": pages.steps,
        "/api/group": pages.group,
        "/api/problem": pages.problem,
    }
    routes: list[Route | Mount] = [Route(path, _json(answer)) for path, answer in answers.items()]
    routes += [
        Route("/", lambda _: FileResponse(STATIC / "index.html")),
        Route("/api/export", pages.export),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    middleware = [
        Middleware(MarkedResponses),
        Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
        Middleware(GZipMiddleware, minimum_size=4096, compresslevel=3),
    ]
    return Starlette(routes=routes, middleware=middleware)


def _json(answer: Callable[[Query], Any]) -> Callable[[Request], Response]:
    """Return an endpoint; it is no coroutine, so that it runs in a thread of its own."""

    def endpoint(request: Request) -> Response:
        try:
            content, code = answer(request.query_params), 200
        except NotFoundError as error:
            content, code = {"error": str(error)}, 404
        except ValueError:
            content, code = {"error": "A number in the address is no number."}, 400
        except OSError as error:
            content, code = {"error": f"A file cannot be read ({error.strerror})."}, 503
        if content is None:
            return Response(status_code=204)
        return Response(to_bytes(content), code, media_type="application/json")

    return endpoint


class WatchPages:
    """Answers the requests of the page, with JSON."""

    def __init__(self, runs: RunList) -> None:
        self._runs = runs
        self._server = f"{os.getpid()}-{time.time_ns():x}"

    def runs(self, query: Query) -> dict[str, Any] | None:
        """Return all runs in short and the open ones in full; None if `version` is still true."""
        runs = self._runs.all()
        wanted = [name for name in query.get("open", "").split(",") if name][:MAX_OPEN_RUNS]
        opened = [run for run in runs if run.name in wanted] or runs[:1]
        for run in runs:
            run.refresh(with_metrics=run in opened)
        short = [summary(run) for run in runs]
        statuses = "".join(item["status"][0] for item in short)
        version = ".".join([self._server, statuses, *(f"{r.name}:{r.version}" for r in opened)])
        if version == query.get("version"):
            return None
        language = query.get("language", "en")
        language = language if language in FINDING_TEXTS else "en"
        full = {run.name: details(run, language) for run in opened}
        return {"version": version, "runs": short, "open": full, "server": self._server}

    def curves(self, query: Query) -> dict[str, Any]:
        """Return curves of a stage by metric: one per run, or a band over all runs."""
        runs = [self._run(name) for name in query.get("runs", "").split(",")[:MAX_OPEN_RUNS]]
        stage, names = query.get("stage", ""), query.get("metrics", "").split(",")[:MAX_METRICS]
        view = CurveView(
            n_buckets=min(4000, max(10, int(query.get("width", 400)))),
            first=_number(query, "from"),
            last=_number(query, "to"),
            weight=min(0.999, max(0.0, _number(query, "smooth") or 0.0)),
        )
        for run in runs:
            run.refresh()
        columns = [run.columns.get(stage) for run in runs]
        charts: dict[str, Any] = {}
        for name in names:
            series = {
                run.name: own.series(name)
                for run, own in zip(runs, columns, strict=True)
                if own is not None and name in own.names
            }
            if query.get("band") == "1" and len(series) > 1:
                charts[name] = {"band": band(list(series.values()), view)}
            else:
                charts[name] = {run: curve(steps, y, view) for run, (steps, y) in series.items()}
        ends = [own.steps[-1] for own in columns if own]
        return {"charts": charts, "last": max(ends, default=0)}

    def rollouts(self, query: Query) -> dict[str, Any]:
        """Return a page of the list of rollouts."""
        run, start = self._run(query.get("run", "")), max(0, int(query.get("start", 0)))
        n = min(MAX_ROWS, max(1, int(query.get("n", 50))))
        with run.lock:
            order = query.get("order", "newest")
            return rollout_rows(run.index(), _filter(query), order, start, n)

    def steps(self, query: Query) -> dict[str, Any]:
        """Return the steps that have rollouts, with their verdicts."""
        run = self._run(query.get("run", ""))
        with run.lock:
            index = run.index()
            return {"generation": index.generation, "steps": index.steps(_filter(query))}

    def group(self, query: Query) -> dict[str, Any]:
        """Return a group with its texts, and where else its problem was sampled."""
        run = self._run(query.get("run", ""))
        with run.lock:
            page = group_page(run.index(), int(query.get("group", -1)))
        if page is None:
            raise NotFoundError("There is no such group of rollouts any more.")
        return page

    def problem(self, query: Query) -> list[dict[str, Any]]:
        """Return the groups of a problem, step by step."""
        run = self._run(query.get("run", ""))
        with run.lock:
            return problem_history(run.index(), query.get("problem", ""))

    def export(self, request: Request) -> Response:
        """Send the rollouts that fit a filter as a file of JSON lines."""
        query = request.query_params
        try:
            run, wanted = self._run(query.get("run", "")), _filter(query)
        except (NotFoundError, ValueError) as error:
            return Response(str(error), 404, media_type="text/plain")
        lines = exported(run.index(), wanted)

        def locked() -> Any:
            while True:  # locked a while at a time: a slow client must not stop the page
                with run.lock:
                    chunk = b"".join(itertools.islice(lines, 64))
                if not chunk:
                    return
                yield chunk

        headers = {"content-disposition": 'attachment; filename="rollouts.jsonl"'}
        return StreamingResponse(locked(), 200, headers, "application/x-ndjson")

    def _run(self, name: str) -> WatchedRun:
        run = self._runs.get(name)
        if run is None:
            raise NotFoundError("There is no such run any more.")
        return run


def _filter(query: Query) -> RolloutFilter:
    step, most = query.get("step"), query.get("max_tokens")
    return RolloutFilter(
        stage=query.get("stage") or None,
        step=int(step) if step else None,
        problem=query.get("problem") or None,
        task=query.get("task") or None,
        language=query.get("language") or None,
        verdict=query.get("verdict") or None,
        min_tokens=int(query.get("min_tokens") or 0),
        max_tokens=int(most) if most else None,
        part=query.get("part") or None,
        min_part=_number(query, "min_part"),
        max_part=_number(query, "max_part"),
    )


def _number(query: Query, key: str) -> float | None:
    text = query.get(key)
    return float(text) if text else None
