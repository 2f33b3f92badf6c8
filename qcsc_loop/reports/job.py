"""A job in rows and words, for people."""

from __future__ import annotations

from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.payload import read_facts


def metrics_rows(record: JobRecord) -> list[dict[str, object]]:
    """What a job took, as rows of name and value; what nobody knows is left out."""
    return [{"name": name, "value": value} for name, value in _facts(record).items()]


def job_row(record: JobRecord) -> dict[str, object]:
    """The same as one row of a table of jobs."""
    key = record.key
    return {"iteration": key.iteration, "step": key.step, **_facts(record)}


def _facts(record: JobRecord) -> dict[str, object]:
    metrics, outcome = record.metrics, record.outcome
    values: dict[str, object] = {
        "key": str(record.key),
        "job id": record.job_id,
        "state": record.state,
        "exit code": outcome.exit_code if outcome else None,
        "reason": record.fault or record.unread or (outcome.reason if outcome else "") or None,
        "queue seconds": _rounded(metrics.queue_seconds),
        "run seconds": _rounded(metrics.run_seconds),
        "nodes": metrics.nodes,
        "CPUs": metrics.cpus,
        "node hours": None if metrics.node_hours is None else round(metrics.node_hours, 6),
        "QPU seconds": metrics.qpu_seconds,
        "efficiency": _efficiency(record),
        "max RSS bytes": metrics.max_rss_bytes,
    }
    values |= _circuits(record)
    return {name: value for name, value in values.items() if value is not None}


def _circuits(record: JobRecord) -> dict[str, object]:
    """Depth, gates and duration of each compiled circuit of a QPU job."""
    circuits = read_facts(record.folder).get("circuits", [])  # none: no QPU job, or pruned since
    return {
        f"circuit {number}: {name.replace('_', ' ')}": value
        for number, facts in enumerate(circuits)
        for name, value in facts.items()
    }


def _efficiency(record: JobRecord) -> float | None:
    """QPU time as a part of the time since the submission."""
    metrics = record.metrics
    if metrics.qpu_seconds is None or metrics.submitted is None or metrics.ended is None:
        return None
    whole = (metrics.ended - metrics.submitted).total_seconds()
    return round(metrics.qpu_seconds / whole, 4) if whole > 0 else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(max(0.0, seconds), 3)
