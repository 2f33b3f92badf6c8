"""What the service answers about jobs."""

from __future__ import annotations

import time
from datetime import datetime

from qcsc_loop.testing.ibm.job import PENDING, Job
from qcsc_loop.testing.ibm.messages import DONE, Answer, Refused, Request, json_answer, text_answer
from qcsc_loop.testing.ibm.service import Service, cancellation
from qcsc_loop.testing.ibm.views import described, metrics

PAGE = 10
LONGEST_PAGE = 200


def submit(service: Service, request: Request) -> Answer:
    """Accepts a job."""
    job = service.submit(request.json())
    return json_answer({"id": job.id, "backend": job.backend, "session_id": job.session_id})


def listing(service: Service, request: Request) -> Answer:
    """A page of the jobs that fit, newest first unless told otherwise."""
    found = [job for job in service.jobs.values() if _fits(job, request)]
    if request.option("sort").upper() != "ASC":
        found.reverse()
    first = _number(request, "offset", 0)
    limit = min(_number(request, "limit", PAGE), LONGEST_PAGE)
    with_params = request.option("exclude_params") != "true"
    rows = [described(job, with_params=with_params) for job in found[first : first + limit]]
    return json_answer({"jobs": rows, "count": len(found), "limit": limit, "offset": first})


def job(service: Service, request: Request, job_id: str) -> Answer:
    """A job."""
    with_params = request.option("exclude_params") != "true"
    return json_answer(described(service.job(job_id), with_params=with_params))


def results(service: Service, request: Request, job_id: str) -> Answer:
    """What a job gave; nothing yet is an answer without a body."""
    ending = service.job(job_id).ending
    return text_answer(ending.result) if ending and ending.result else DONE


def job_metrics(service: Service, request: Request, job_id: str) -> Answer:
    """A job's times and usage."""
    return json_answer(metrics(service.job(job_id), service.usage_delay))


def logs(service: Service, request: Request, job_id: str) -> Answer:
    """What a job's program printed."""
    return text_answer(f"{service.job(job_id).id}: nothing to log\n")


def cancel(service: Service, request: Request, job_id: str) -> Answer:
    """Cancels a job that is not over."""
    if not service.qpu.end(service.job(job_id), cancellation()):
        raise Refused(409, 1292, "Job is already in a terminal state.")
    return DONE


def delete(service: Service, request: Request, job_id: str) -> Answer:
    """Forgets a job."""
    service.job(job_id).deleted = True
    return DONE


def retag(service: Service, request: Request, job_id: str) -> Answer:
    """Gives a job other tags."""
    service.job(job_id).tags = list(request.json().get("tags") or [])
    return DONE


def _fits(job: Job, request: Request) -> bool:
    """Whether a job is what the query asks for; it must have all tags."""
    facts = {"backend": job.backend, "program": job.program, "session_id": job.session_id}
    facts["pending"] = "true" if job.state in PENDING else "false"
    return (
        not job.deleted
        and time.time() >= job.listed
        and all(request.option(name) in ("", fact) for name, fact in facts.items())
        and set(request.query.get("tags", [])) <= set(job.tags)
        and _moment(request, "created_after", 0.0) <= job.created
        and _moment(request, "created_before", float("inf")) >= job.created
    )


def _number(request: Request, name: str, default: int) -> int:
    text = request.option(name, str(default))
    if not text.isdecimal():
        raise Refused(400, 1200, f"{name} is no number: {text}")
    return int(text)


def _moment(request: Request, name: str, default: float) -> float:
    text = request.option(name)
    try:
        return datetime.fromisoformat(text).timestamp() if text else default
    except ValueError:
        raise Refused(400, 1200, f"{name} is no time: {text}") from None
