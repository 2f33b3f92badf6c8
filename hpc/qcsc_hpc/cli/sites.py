"""Machines that are known: which there are, and the blocks to start from on one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from qcsc_hpc.profiles import known_sites
from qcsc_loop.errors import UnknownSite
from qcsc_loop.reports.tables import plain_table, wide_console

PROJECT = "PROJECT"  # what a user has to fill in


def list_sites() -> None:
    """Prints a line for each."""
    table = plain_table("NAME", "SCHEDULER", "MACHINE", left=("NAME", "SCHEDULER", "MACHINE"))
    for name, site in known_sites().items():
        table.add_row(name, site["profile"]["scheduler"], site["machine"].partition(";")[0])
    console = wide_console()
    console.print(table)
    console.say("\nqcsc-loop sites show NAME prints the blocks to start from")


def starting_toml(name: str) -> str:
    """Blocks of one machine: WHERE, HOW, and both under the site's name.

    Raises:
        UnknownSite: it is not known.
    """
    known = known_sites()
    if name not in known:
        raise UnknownSite(name, known)
    return "\n".join(_lines(name, known[name])) + "\n"


def _lines(name: str, site: Mapping[str, Any]) -> Iterator[str]:  # Any: what TOML has
    start = site["start"]
    yield f"# {site['machine']}"
    yield f"# The site's page: {site['page']}"
    yield f"# Unproved there. qcsc-loop render {name} -- COMMAND shows the script."
    left = [key for key, value in start["where"].items() if PROJECT in str(value) or value == "QPU"]
    if left:
        yield f"# Yours to fill in: {', '.join(left)}."
    yield from ("", f"[hpc-profile.{name}]", f"preset = {_value(name)}")
    yield from _settings(start["where"])
    yield from ("", f"[execution-profile.{name}]")
    yield from _settings(start["how"])
    yield from ("", f"[hpc-machine.{name}]")
    yield f"hpc_profile_block_name = {_value(name)}"
    yield f"execution_profile_block_name = {_value(name)}"


def _settings(given: Mapping[str, Any]) -> Iterator[str]:  # as above
    for key, value in given.items():
        yield f"{key} = {_value(value)}"


def _value(value: Any) -> str:  # as above
    """As TOML writes it; JSON's strings, numbers and lists are TOML's, too."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
