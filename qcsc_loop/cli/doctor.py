"""`doctor`: prints what the checks find."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from qcsc_loop.doctor import Finding, Request, findings
from qcsc_loop.parameters.environment import environment


def examine(*, ranks: int, machine: str, store: Path | None, as_json: bool) -> int:
    """Prints the findings as they come; the exit code says whether all is well."""
    console = Console(stderr=as_json, soft_wrap=True, highlight=False)
    found: list[Finding] = []
    for finding in findings(Request((store or environment().store).expanduser(), ranks, machine)):
        found.append(finding)
        mark = "[green]ok  [/green]" if finding.well else "[red]ill [/red]"
        console.print(mark, end="")
        console.print(f" {finding.what}: {finding.fact}", markup=False)
        if not finding.well and finding.cure:
            console.print(f"      {finding.cure}", markup=False)
    ill = [finding for finding in found if not finding.well]
    if as_json:
        print(json.dumps({"well": not ill, "findings": [asdict(finding) for finding in found]}))
    else:
        console.print(f"{len(ill)} of {len(found)} checks failed" if ill else "all is well")
    return 1 if ill else 0
