"""What the service answers about sessions."""

from __future__ import annotations

from qcsc_loop.testing.ibm.messages import DONE, Answer, Request, json_answer
from qcsc_loop.testing.ibm.service import Service


def create(service: Service, request: Request) -> Answer:
    """Opens a session or a batch."""
    session = service.open_session(request.json())
    return json_answer(session.described(service.jobs.values()))


def session(service: Service, request: Request, session_id: str) -> Answer:
    """A session."""
    return json_answer(service.session(session_id).described(service.jobs.values()))


def change(service: Service, request: Request, session_id: str) -> Answer:
    """Lets a session take no more jobs, or more."""
    accepting = request.json().get("accepting_jobs")
    service.session(session_id).accepting_jobs = bool(accepting)
    return DONE


def close(service: Service, request: Request, session_id: str) -> Answer:
    """Closes a session at once."""
    service.close_session(service.session(session_id))
    return DONE
