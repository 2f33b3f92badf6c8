"""From a request to its answer: who may ask, what goes wrong, what is noted."""

from __future__ import annotations

import traceback

from qcsc_loop.testing.ibm.iam import INSTANCE
from qcsc_loop.testing.ibm.journal import Journal
from qcsc_loop.testing.ibm.messages import Answer, Refused, Request, error_answer
from qcsc_loop.testing.ibm.routes import Route, route
from qcsc_loop.testing.ibm.service import Service
from qcsc_loop.testing.ibm.spoiling import refusal, spoiled


class Door:
    """Answers requests, from any thread."""

    def __init__(self, service: Service, journal: Journal) -> None:
        self._service = service
        self._journal = journal

    def answer(self, request: Request) -> tuple[Answer, int]:
        """The answer to a request, and the request's number in the journal."""
        found = route(request)
        kind = found[0].kind if found else None
        injected = self._service.injections.of_request(kind) if kind else None
        number = self._journal.arrived(request, kind, injected.fault if injected else None)
        if injected is None:
            return self._right(request, found), number
        answer = refusal(injected)
        return answer or spoiled(self._right(request, found), injected), number

    def _right(self, request: Request, found: tuple[Route, tuple[str, ...]] | None) -> Answer:
        """The answer when nothing is made to go wrong."""
        try:
            if found is None:
                raise Refused(404, 1200, f"There is no {request.method} {request.path}.")
            endpoint, parts = found
            self._admit(request, endpoint)
            with self._service.changed:
                return endpoint.act(self._service, request, *parts)
        except Refused as refused:
            return error_answer(refused.status, refused.code, refused.message)
        # a fault of this server, which its user has to see where they look
        except Exception:
            return error_answer(500, 1, traceback.format_exc())

    def _admit(self, request: Request, endpoint: Route) -> None:
        if endpoint.kind == "token":
            return
        if not self._service.iam.knows(request.headers.get("authorization", "")):
            raise Refused(401, 1200, "The bearer is missing, unknown or too old.")
        instance = request.headers.get("service-crn", "")
        if endpoint.kind != "catalogue" and instance != INSTANCE:
            raise Refused(403, 1200, f"Instance {instance or 'without a name'} is not yours.")
