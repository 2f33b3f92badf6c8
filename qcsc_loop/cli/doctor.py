"""`doctor`: prints what the checks find."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from qcsc_loop.cli.quiet_prefect import take_console
from qcsc_loop.doctor import Finding, Request, findings
from qcsc_loop.parameters.environment import environment
from qcsc_loop.printing import printable, say_json
from qcsc_loop.reports.tables import PlainConsole


@dataclass(frozen=True)
class Examined:
    """All that was found.

    Attributes:
        well: whether every finding is.
    """

    well: bool
    findings: list[Finding]


def examine(*, ranks: int, machine: str, store: Path | None, as_json: bool) -> int:
    """Prints the findings as they come; the exit code says whether all is well."""
    take_console()
    warnings.simplefilter("ignore")  # of what is imported to look: what is wrong is a finding
    console = PlainConsole(stderr=as_json)
    found: list[Finding] = []
    for finding in findings(Request((store or environment().store).expanduser(), ranks, machine)):
        found.append(finding)
        mark = ("ok   ", "green") if finding.well else ("ill  ", "red")
        words = Text.assemble(mark, printable(f"{finding.what}: {finding.fact}"))
        console.print(words, soft_wrap=True)
        if not finding.well and finding.cure:
            console.say(f"      {finding.cure}")
    ill = [finding for finding in found if not finding.well]
    if as_json:
        say_json(asdict(Examined(not ill, found)))
    else:
        console.say(f"{len(ill)} of {len(found)} checks failed" if ill else "all is well")
    return 1 if ill else 0
