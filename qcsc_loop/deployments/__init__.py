"""Runs as Prefect flows: in a flow of your own, and in one that is deployed."""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_loop.deployments.flow_body import Driven, drive
    from qcsc_loop.deployments.run_settings import AutoResume, RunSettings
    from qcsc_loop.prefect.ends import ends_superseded
    from qcsc_loop.prefect.flow import run_in_flow

__all__ = [
    "AutoResume",
    "Driven",
    "RunSettings",
    "drive",
    "ends_superseded",
    "run_in_flow",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "AutoResume": "run_settings",
        "Driven": "flow_body",
        "RunSettings": "run_settings",
        "drive": "flow_body",
        "ends_superseded": ".prefect.ends",
        "run_in_flow": ".prefect.flow",
    },
)
