"""What is known of a job's payload before it is submitted: for whoever collects or reports it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.plain import Json

SUBMISSION = "submission.json"


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Keeps them in the job's folder."""
    with write_whole(folder / SUBMISSION) as file:
        file.write(json.dumps(facts).encode())


def read_facts(folder: Path) -> Json:
    """What was kept; nothing where it cannot be read: results count without it."""
    try:
        facts: Json = json.loads((folder / SUBMISSION).read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
