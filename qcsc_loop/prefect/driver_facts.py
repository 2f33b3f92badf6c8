"""What a driver's provenance says of how Prefect drives it."""

from __future__ import annotations

from typing import Literal

# names in the provenance of a driver
FLOW_RUN, SETTINGS = "flow_run", "run_settings"
DEPLOYMENT, DEPLOYMENT_NAME = "deployment", "deployment_name"

Granularity = Literal["step", "iteration", "none"]
"""What becomes a Prefect task."""
