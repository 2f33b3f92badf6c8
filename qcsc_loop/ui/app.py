"""What is answered under the token, to nobody without it; nothing is ever written."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import qcsc_loop.reports.page as report
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.notebook import reported
from qcsc_loop.reports.view import RunReader
from qcsc_loop.store.directory import DirectoryStore
from qcsc_loop.store.journal import may_be_run
from qcsc_loop.ui.pages import compare_page, live_facts, live_run_page, problem_page, runs_page
from qcsc_loop.ui.rows import RunList

EVERY_SECONDS = 2.0
IDLE_SECONDS = 60.0  # without anybody who asks, the store is not looked at
MOST_COMPARED = 12
_FILES = {
    "runs.js": (Path(__file__).with_name("files") / "runs.js", "text/javascript"),
    "live.js": (Path(__file__).with_name("files") / "live.js", "text/javascript"),
    "ui.css": (Path(__file__).with_name("files") / "ui.css", "text/css"),
    "report.css": (Path(report.__file__).with_name("page_files") / "report.css", "text/css"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)


class Pages:
    """The pages of one store.

    Every address in them is relative: they are the same behind a tunnel and behind a proxy's path.

    Args:
        more: what commands on the pages have to be given, such as ` --store DIR`.
    """

    def __init__(self, store: DirectoryStore, token: str, more: str = "") -> None:
        self._store, self._token, self._more = store, token, more
        self._list = RunList(store)
        self._asked, self._wake = time.monotonic(), threading.Event()
        self._ended = threading.Event()

    def app(self) -> Starlette:
        """All that is answered."""
        routes = [
            ("/", self._runs),
            ("/runs.json", self._rows),
            ("/run/{run_id}", self._run),
            ("/live/{run_id}", self._live),
            ("/compare", self._compare),
            ("/files/{name}", self._file),
        ]
        return Starlette(
            routes=[
                Route(f"/{{token}}{path}", self._guarded(answer), methods=["GET"])
                for path, answer in routes
            ]
        )

    # the list, which is kept by a thread

    def watch(self) -> None:
        """Looks at the store again and again while somebody asks."""
        while not self._ended.is_set():
            began = time.monotonic()
            if began - self._asked < IDLE_SECONDS:
                with suppress(QcscLoopError, OSError):  # the next look may go better
                    self._list.refresh()
            # a store that is slow to read is not read all the time
            pause = max(EVERY_SECONDS, 4 * (time.monotonic() - began))
            self._wake.wait(pause)
            self._wake.clear()

    def end(self) -> None:
        """No further look."""
        self._ended.set()
        self._wake.set()

    def _rows(self, request: Request) -> Response:
        if time.monotonic() - self._asked > IDLE_SECONDS:
            self._wake.set()
        self._asked = time.monotonic()
        after = request.query_params.get("after", "0")
        return JSONResponse(self._list.after(int(after) if after.isdigit() else 0))

    # pages

    def _runs(self, request: Request) -> Response:
        del request
        return HTMLResponse(runs_page(), headers={"Content-Security-Policy": _POLICY})

    def _run(self, request: Request) -> Response:
        run_id = self._known(request.path_params["run_id"])
        return HTMLResponse(live_run_page(reported(RunReader(self._store, run_id), self._more)))

    def _live(self, request: Request) -> Response:
        run_id = self._known(request.path_params["run_id"])
        return JSONResponse(live_facts(RunReader(self._store, run_id)))

    def _compare(self, request: Request) -> Response:
        ids = list(dict.fromkeys(request.query_params.getlist("run")))[:MOST_COMPARED]
        if not ids:
            raise HTTPException(404)
        readers = [RunReader(self._store, self._known(run_id)) for run_id in ids]
        page = compare_page(readers, self._more)
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    def _file(self, request: Request) -> Response:
        if (found := _FILES.get(request.path_params["name"])) is None:
            raise HTTPException(404)
        return Response(found[0].read_bytes(), media_type=found[1])

    def _known(self, run_id: str) -> str:
        if not may_be_run(self._store, run_id):
            raise HTTPException(404)
        return run_id

    def _guarded(self, answer: Callable[[Request], Response]) -> Callable[[Request], object]:
        """Whoever has no token learns nothing, not even what there is."""

        async def guarded(request: Request) -> Response:
            if not secrets.compare_digest(
                request.path_params["token"].encode(), self._token.encode()
            ):
                return PlainTextResponse("not found\n", status_code=404, headers=_HEADERS)
            try:
                found = await to_thread.run_sync(answer, request)
            except QcscLoopError as error:
                words = problem_page("This cannot be shown", str(error))
                found = HTMLResponse(
                    words, status_code=500, headers={"Content-Security-Policy": _POLICY}
                )
            except HTTPException as error:
                found = PlainTextResponse(
                    "there is no such run or page\n", status_code=error.status_code
                )
            found.headers.update(_HEADERS)
            return found

        return guarded
