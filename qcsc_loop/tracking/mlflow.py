"""MLflow, by its REST API: https://mlflow.org/docs/latest/rest-api.html (version 2.0 of the API)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import httpx

from qcsc_loop.errors import InputError
from qcsc_loop.parameters.environment import MlflowEnvironment
from qcsc_loop.plain import Json
from qcsc_loop.tracking.tracker import TrackedPoint, TrackedRun, Tracker

SERVER = "MLFLOW_TRACKING_URI"
TIMEOUT_SECONDS = 30.0
METRICS, PARAMS = 1000, 100  # in a request, as the server takes them
LONGEST_VALUE = 500  # characters of a parameter that every version takes
UID = "qcsc-loop.uid"
_STATUSES = {
    "failed": "FAILED",
    "driver gone": "KILLED",
    "interrupted": "KILLED",
    "cancelled": "KILLED",
}


class MlflowTracker(Tracker):
    """Logs to the server that $MLFLOW_TRACKING_URI names, as a run of the algorithm's experiment."""

    def __init__(self, run: TrackedRun, memory: Json) -> None:
        super().__init__(run, memory)
        said = MlflowEnvironment()
        if not (url := said.tracking_uri).startswith(("http://", "https://")):
            raise InputError(f"the tracker mlflow needs {SERVER}=http://HOST:PORT (given: {url!r})")
        user, password = said.tracking_username, said.tracking_password
        self._experiment_name = said.experiment_name or run.algorithm
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/2.0/mlflow/",
            timeout=TIMEOUT_SECONDS,
            auth=(user, password) if user and password else None,
        )
        self._id = str(memory.get("run_id") or self._find() or self._create())
        memory["run_id"] = self._id

    def log(self, points: Sequence[TrackedPoint]) -> None:
        metrics = list(_metrics(points))
        for start in range(0, len(metrics), METRICS):
            self._post("runs/log-batch", run_id=self._id, metrics=metrics[start : start + METRICS])

    def end(self, status: str, message: str) -> None:
        self._post("runs/set-tag", run_id=self._id, key="qcsc-loop.message", value=message)
        self._post("runs/update", run_id=self._id, status=_STATUSES.get(status, "FINISHED"))

    def _find(self) -> str | None:
        """The run that a process has made which died before it had noted that."""
        found = self._post(
            "runs/search",
            experiment_ids=[self._experiment()],
            filter=f"tags.`{UID}` = '{self.run.uid}'",
        )
        runs = found.get("runs") or []
        return str(runs[0]["info"]["run_id"]) if runs else None

    def _create(self) -> str:
        run = self.run
        tags = {
            UID: run.uid,
            "qcsc-loop.store": run.store,
            "qcsc-loop.forked-from": run.forked_from,
        }
        made = self._post(
            "runs/create",
            experiment_id=self._experiment(),
            run_name=run.run_id,
            start_time=int(run.created.timestamp() * 1000),
            tags=[{"key": key, "value": value} for key, value in tags.items() if value],
        )
        run_id = str(made["run"]["info"]["run_id"])
        facts = {"algorithm": run.algorithm, "seed": run.seed, **run.parameters}
        params = [{"key": k, "value": str(v)[:LONGEST_VALUE]} for k, v in facts.items()]
        for start in range(0, len(params), PARAMS):
            self._post("runs/log-batch", run_id=run_id, params=params[start : start + PARAMS])
        return run_id

    def _experiment(self) -> str:
        name = self._experiment_name
        answer = self._client.get("experiments/get-by-name", params={"experiment_name": name})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return str(self._post("experiments/create", name=name)["experiment_id"])
        return str(answer.raise_for_status().json()["experiment"]["experiment_id"])

    def _post(self, path: str, **body: object) -> Json:
        answer = self._client.post(path, json=body)
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{answer.status_code}: {answer.text[:LONGEST_VALUE]}",
                request=answer.request,
                response=answer,
            )
        found: Json = answer.json()
        return found


def _metrics(points: Sequence[TrackedPoint]) -> Iterator[Json]:
    for point in points:
        at = int(point.at.timestamp() * 1000)
        spent = {f"spent.{name}": value for name, value in point.spent.items()}
        for key, value in {**point.scalars, **spent}.items():
            if math.isfinite(value):
                yield {"key": key, "value": value, "timestamp": at, "step": point.iteration}
