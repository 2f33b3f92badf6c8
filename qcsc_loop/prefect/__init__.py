"""The binding to Prefect: server, artifacts, blocks. Only this room and flows.py import Prefect."""
