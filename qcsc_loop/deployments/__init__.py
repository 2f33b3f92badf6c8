"""Runs that nobody starts by hand: the flow that is deployed, and how it drives a run."""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_loop.deployments.flow_body import Driven, drive
    from qcsc_loop.deployments.run_settings import AutoResume, RunSettings

__all__ = [
    "AutoResume",
    "Driven",
    "RunSettings",
    "drive",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "AutoResume": "run_settings",
        "Driven": "flow_body",
        "RunSettings": "run_settings",
        "drive": "flow_body",
    },
)
