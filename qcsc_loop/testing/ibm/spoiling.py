"""What a fault makes of an answer."""

from __future__ import annotations

import json
from dataclasses import replace

from qcsc_loop.testing.ibm.fault import IBMFault
from qcsc_loop.testing.ibm.injection import Injection
from qcsc_loop.testing.ibm.messages import Answer, error_answer

REFUSALS = {
    IBMFault.SERVER_ERROR: 500,
    IBMFault.UNAUTHORIZED: 401,
    IBMFault.FORBIDDEN: 403,
    IBMFault.NOT_FOUND: 404,
    IBMFault.TOO_MANY_REQUESTS: 429,
}
GATEWAYS = {
    IBMFault.BAD_GATEWAY_THOUGH_ACCEPTED: 502,
    IBMFault.GATEWAY_TIMEOUT_THOUGH_ACCEPTED: 504,
}
LOST = Answer(lost=True)


def refusal(injection: Injection) -> Answer | None:
    """The answer to a request that shall have no effect; None if it shall have one."""
    seconds = injection.seconds or 0.0
    if injection.fault is IBMFault.CONNECTION_LOST:
        return replace(LOST, seconds=seconds)
    if injection.fault not in REFUSALS:
        return None
    answer = error_answer(REFUSALS[injection.fault], 1, f"Injected: {injection.fault}.")
    if injection.fault is not IBMFault.TOO_MANY_REQUESTS:
        return replace(answer, seconds=seconds)
    # without decimals: that header has none
    told = {} if injection.seconds is None else {"Retry-After": f"{injection.seconds:.0f}"}
    return replace(answer, headers=told)


def spoiled(answer: Answer, injection: Injection) -> Answer:
    """What is left of the answer to a request that had its effect."""
    fault = injection.fault
    if fault is IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED:
        answer = LOST
    elif fault in GATEWAYS:
        answer = _page(GATEWAYS[fault])
    elif fault is IBMFault.HTML_PAGE:
        answer = _page(200)
    elif fault is IBMFault.TRUNCATED:
        answer = replace(answer, sent=len(answer.body) // 2)
    elif fault is IBMFault.LIST_MISCOUNTED:
        answer = _miscounted(answer)
    return replace(answer, seconds=injection.seconds or 0.0)


def _page(status: int) -> Answer:
    page = b"<!DOCTYPE html><html><body><h1>Gateway</h1></body></html>"
    return Answer(status, page, "text/html; charset=utf-8")


def _miscounted(answer: Answer) -> Answer:
    told = json.loads(answer.body)
    if "count" in told:
        told["count"] += 1
    return replace(answer, body=json.dumps(told).encode())
