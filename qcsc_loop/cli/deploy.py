"""`deploy`, `serve` and `supervise`: runs that nobody starts by hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from qcsc_loop.cli.quiet_prefect import quiet_prefect
from qcsc_loop.cli.read_toml import read_toml
from qcsc_loop.deployments.description import Deployment, read_description
from qcsc_loop.errors import InvalidParameters, PrefectUnreachable, QcscLoopError
from qcsc_loop.parameters.environment import environment
from qcsc_loop.plain import Json
from qcsc_loop.printing import say, say_json
from qcsc_loop.store.directory import DirectoryStore

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

    from qcsc_loop.deployments.deploying import Difference


def deploy_files(*, files: Sequence[Path], dry_run: bool, as_json: bool) -> None:
    """Makes deployments what their files say, and says what that changed.

    Raises:
        InvalidParameters: something in a file is wrong; nothing was changed.
        PrefectUnreachable: no server is configured, or it does not answer.
    """
    wanted = _read(files)
    with lasting_server():
        differences = anyio.run(_deploy, wanted, dry_run)
    if as_json:
        say_json([asdict(difference) for difference in differences])
        return
    for difference in differences:
        would = "would " if dry_run and difference.action != "keep" else ""
        lines = [f"{would}{difference.action:<7}{difference.deployment}"]
        lines += [f"    {change.words}" for change in difference.changes]
        say("\n".join(lines))


def serve_files(*, files: Sequence[Path], limit: int, poll: float) -> None:
    """Deploys the files, and runs their flow runs in processes below this one, until it is ended.

    Raises:
        InvalidParameters, PrefectUnreachable: as for `deploy_files`.
    """
    wanted = _read(files)
    for file, one in wanted.items():
        if one.work_pool is not None:
            problem = f"work_pool: {one.work_pool}'s workers run it; take that out to serve it"
            raise InvalidParameters(file, [problem], [])
    with lasting_server():
        anyio.run(_serve, wanted, limit, poll)


def supervise(*, store: Path | None, every: float, once: bool, as_json: bool) -> None:
    """Brings runs back whose driver is gone: once, or until it is ended.

    Raises:
        PrefectUnreachable: no server is configured; or, with `once`, it does not answer.
    """
    kept = DirectoryStore(store or environment().store)
    with lasting_server():
        anyio.run(_supervise, kept, every, once, as_json)


def _read(files: Sequence[Path]) -> dict[str, Deployment]:
    return {str(file): _described(read_toml(file), str(file)) for file in files}


def _described(content: Json, file: str) -> Deployment:
    run, flow = content.get("run"), content.get("flow")
    if isinstance(run, dict) and run.get("stop") and isinstance(flow, str):
        quiet_prefect()
        from qcsc_loop.deployments.deploying import find_flow

        find_flow(flow, file)  # the rules may be of its algorithm's file
    return read_description(content, file)


def require_server() -> None:
    """Refuses to go on without a server.

    Raises:
        PrefectUnreachable: none is configured, and there is none of one's own.
    """
    with lasting_server():
        pass


@contextmanager
def lasting_server() -> Iterator[None]:
    """The configured server, or one's own, for as long as the block lasts.

    Raises:
        PrefectUnreachable: there is neither.
    """
    quiet_prefect()
    from qcsc_loop.prefect.server import lasting_api

    with lasting_api(lambda text: say(text, to_stderr=True)):
        yield


async def _deploy(wanted: dict[str, Deployment], dry_run: bool) -> list[Difference]:
    from qcsc_loop.deployments.deploying import build_deployment, deploy
    from qcsc_loop.prefect.server import prefect_api

    ready = {
        file: build_deployment(one, file) for file, one in wanted.items()
    }  # before the first is saved
    with prefect_api():
        return [await deploy(ready[file], file, dry_run=dry_run) for file in wanted]


async def _serve(wanted: dict[str, Deployment], limit: int, poll: float) -> None:
    from prefect.runner import Runner

    from qcsc_loop.deployments.deploying import build_deployment, deploy
    from qcsc_loop.prefect.server import prefect_api

    ready: dict[str, RunnerDeployment] = {
        file: build_deployment(one, file) for file, one in wanted.items()
    }
    with prefect_api() as url:
        # flow runs import their flow as this process did
        os.environ["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        runner = Runner(name="qcsc-loop", limit=limit, query_seconds=poll, pause_on_shutdown=False)
        for file, deployment in ready.items():
            difference = await deploy(deployment, file, dry_run=False)
            await runner.aadd_deployment(deployment)
            say(f"serving {difference.deployment} for {url}")
        await runner.start()


async def _supervise(store: DirectoryStore, every: float, once: bool, as_json: bool) -> None:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL

    from qcsc_loop.deployments.supervising import supervise

    said: Json = {}
    while True:
        try:
            async with get_client() as client:
                async for action in supervise(client, store):
                    _say(action.run_id, str(action.did), action.why, said, as_json)
        except QcscLoopError as error:  # the store's disk
            if once:
                raise
            _say("", "waiting", str(error), said, as_json)
        except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
            url = str(PREFECT_API_URL.value())
            if once:
                raise PrefectUnreachable(url, str(error) or type(error).__name__) from error
            _say("", "waiting", f"{url} does not answer", said, as_json)
        if once:
            return
        await anyio.sleep(every)


def _say(run_id: str, did: str, why: str, said: Json, as_json: bool) -> None:
    """Prints what is new."""
    if did != "started" and said.get(run_id) == did:
        return
    said[run_id] = did
    if as_json:
        say_json({"run_id": run_id, "did": did, "why": why})
    else:
        say(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {did:<8} {run_id or 'all'}: {why}")
