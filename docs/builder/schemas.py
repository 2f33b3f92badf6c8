"""docs/json.schema.json: what of it is made from types, `python -m docs.builder.schemas [FILE]`.

A definition here is that of the type which the command prints. Those that the file has besides are of
commands that put their answer together from a run's records, and are written by hand.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from docs.builder.pages import ROOT
from qcsc_algorithms.sqd.comparison import ComparisonFacts
from qcsc_hpc.prefect.importing import Imported
from qcsc_loop.cli.blocks import Applied
from qcsc_loop.cli.doctor import Examined
from qcsc_loop.cli.dry_run import Foretold
from qcsc_loop.cli.emit import Emitted
from qcsc_loop.cli.emit_seen import Seen
from qcsc_loop.cli.server import Stopped
from qcsc_loop.deployments.deploying import Difference
from qcsc_loop.deployments.supervising import Action
from qcsc_loop.plain import Json
from qcsc_loop.prefect.own_server import ServerFacts
from qcsc_loop.sweeping.facts import DetachedFacts, ForetoldFacts, ListedFacts, SweepFacts
from qcsc_loop.testing.checking.findings import Checked

FILE = ROOT / "docs" / "json.schema.json"
KEPT = {"type", "enum", "const", "items", "properties", "anyOf", "additionalProperties"}
KEPT |= {"prefixItems", "minItems", "maxItems"}


@dataclass(frozen=True)
class Printed:
    """What commands print.

    Attributes:
        title: the commands, with commas between them.
        type: of what they print.
    """

    title: str
    description: str
    type: Any  # a class, or a list of one


PRINTED = {
    "run-dry-run": Printed(
        "run --dry-run, resume --dry-run",
        "What would run. `iterations`: those that are left at most; null: only convergence ends it.",
        Foretold,
    ),
    "check": Printed("check", "What was tried, and what was found.", Checked),
    "doctor": Printed("doctor", "Whether all is well, and each check.", Examined),
    "server": Printed(
        "server start, server status",
        "How one's own Prefect server is, and how to get in. Empty or null: there is none.",
        ServerFacts,
    ),
    "server-stop": Printed("server stop", "Whether there was one to end.", Stopped),
    "sweep": Printed(
        "sweep FILE, sweep show",
        "A sweep with its table. Numbers that JSON lacks are the strings `nan`, `inf` and `-inf`.",
        SweepFacts,
    ),
    "sweep-list": Printed("sweep list", "A row a sweep, newest first.", list[ListedFacts]),
    "sweep-dry-run": Printed(
        "sweep --dry-run",
        "What would run, and what it costs at most, by amount, where that is known.",
        ForetoldFacts,
    ),
    "sweep-detach": Printed(
        "sweep --detach", "The driver that goes on in the background.", DetachedFacts
    ),
    "sqd-compare": Printed("sqd-compare", "The arms, and what may be claimed.", ComparisonFacts),
    "deploy": Printed("deploy", "What becomes, or would become, of each file.", list[Difference]),
    "supervise": Printed(
        "supervise", "A line whenever something is done about a run; of all runs: ''.", Action
    ),
    "emit-event": Printed("emit EVENT", "What the server has.", Emitted),
    "emit-seen": Printed("emit files, emit backend", "A line whenever something is seen.", Seen),
    "blocks": Printed("blocks apply", "What becomes, or would become, of each.", list[Applied]),
    "blocks-import": Printed("blocks import", "What becomes of each.", list[Imported]),
}


def page(now: str) -> str:
    """The file as it should be, given as it is."""
    schema: Json = json.loads(now)
    for name, printed in PRINTED.items():
        schema["$defs"][name] = definition(printed)
    return json.dumps(schema, indent=1) + "\n"


def definition(printed: Printed) -> Json:
    """The schema of a type, whole in itself; other fields may come in later releases."""
    made = TypeAdapter(printed.type).json_schema(mode="serialization")
    head = {"title": printed.title, "description": printed.description}
    return head | _plain(made, made.get("$defs", {}))


def _plain(schema: Json, known: Json) -> Json:
    """Without references, titles, defaults and docstrings; whatever a type has is printed."""
    if "$ref" in schema:
        return _plain(known[schema["$ref"].rpartition("/")[2]], known)
    plain: Json = {key: schema[key] for key in schema if key in KEPT}
    if plain.get("additionalProperties") is False:
        del plain["additionalProperties"]
    if "properties" in plain:
        plain["required"] = list(plain["properties"])
        parts = plain["properties"].items()
        plain["properties"] = {name: _plain(each, known) for name, each in parts}
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = _plain(plain[key], known)
    for key in ("anyOf", "prefixItems"):
        if key in plain:
            plain[key] = [_plain(each, known) for each in plain[key]]
    return plain


if __name__ == "__main__":
    made = page(FILE.read_text())
    (Path(sys.argv[1]) if len(sys.argv) > 1 else FILE).write_text(made)
