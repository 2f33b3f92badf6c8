"""The binding to Prefect: flows and tasks, artifacts, events, blocks, a server."""
