"""Names in a driver's provenance, for who drives it from Prefect."""

from __future__ import annotations

# names in the provenance of a driver
FLOW_RUN, SETTINGS = "flow_run", "run_settings"
DEPLOYMENT, DEPLOYMENT_NAME = "deployment", "deployment_name"
