"""Ordeals of the command line have the fixtures of its tests."""

from __future__ import annotations

from system.conftest import (
    fragile_server,
    prefect_home,
    qcsc_loop,
    run_id,
    server,
    supervisor,
    worker,
)

__all__ = [
    "fragile_server",
    "prefect_home",
    "qcsc_loop",
    "run_id",
    "server",
    "supervisor",
    "worker",
]
