"""What the service answers about who asks: tokens, instances, usage."""

from __future__ import annotations

from urllib.parse import parse_qs

from qcsc_loop.testing.ibm.iam import INSTANCE
from qcsc_loop.testing.ibm.messages import Answer, Request, json_answer
from qcsc_loop.testing.ibm.service import Service

PLAN = "plan-1"
UNKNOWN_KEY = {
    "errorCode": "BXNIM0415E",
    "errorMessage": "Provided API key could not be found.",
}
CONSUMED_SECONDS = 10
ALLOCATED_SECONDS = 600


def token(service: Service, request: Request) -> Answer:
    """A bearer for the right key."""
    key = parse_qs(request.body.decode()).get("apikey", [""])[-1]
    issued = service.iam.issue(key)
    return json_answer(UNKNOWN_KEY, 400) if issued is None else json_answer(issued)


def instances(service: Service, request: Request) -> Answer:
    """The one instance; clients skip one without extensions."""
    instance = {
        "crn": INSTANCE,
        "name": "fake",
        "service_plan_unique_id": PLAN,
        "tags": [],
        "doc": {"extensions": {"backends": sorted(service.devices)}},
    }
    return json_answer({"items": [instance], "limit": 100})


def plan(service: Service, request: Request) -> Answer:
    """The instance's plan."""
    display = {"en": {"display_name": "Open"}}
    return json_answer({"overview_ui": display, "metadata": {"pricing": {"type": "free"}}})


def usage(service: Service, request: Request) -> Answer:
    """What the instance has used; more than that is never needed."""
    return json_answer(
        {
            "instance_id": INSTANCE,
            "usage_consumed_seconds": CONSUMED_SECONDS,
            "usage_allocation_seconds": ALLOCATED_SECONDS,
        }
    )
